// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/core/workers.h>
#include <detente/valuation/internal/distances.h>
#include <detente/valuation/lava.h>
#include <fmt/format.h>

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

namespace detente::valuation {
namespace {

using Doubles = Eigen::ArrayXd;
using Costs = Eigen::Map<const Eigen::ArrayXf>;

// The labelled rows of one side.
struct Side {
  std::vector<std::size_t> rows;  // their places among all
  std::vector<float> copied;      // their features, unless all are labelled
  std::span<const float> features;
  std::vector<double> labels;
};

Side take_side(std::span<const float> features,
               std::size_t width,
               std::span<const double> labels,
               bool labelled,
               const char* name) {
  const std::size_t n = features.size() / std::max<std::size_t>(width, 1);
  DETENTE_CHECK(
      width > 0 && n > 0 && features.size() % width == 0 && (!labelled || labels.size() == n),
      ErrorCode::kShape,
      "[valuation::lava] there are {} numbers as {} features and {} labels; expected at "
      "least one row of {}, and as many labels, NaN where there is none, or none for "
      "either side",
      features.size(),
      name,
      labels.size(),
      width);
  Side side;
  for (std::size_t i = 0; i < n; ++i) {
    DETENTE_CHECK(
        !labelled || !std::isinf(labels[i]),
        ErrorCode::kNumeric,
        "[valuation::lava] the label of {} row {} is {}; expected a finite number, or NaN "
        "where there is none",
        name,
        i,
        labels[i]);
    if (labelled && std::isnan(labels[i])) continue;
    side.rows.push_back(i);
    if (labelled) side.labels.push_back(labels[i]);
  }
  DETENTE_CHECK(!side.rows.empty(),
                ErrorCode::kShape,
                "[valuation::lava] no {} row has a label; expected at least one",
                name);
  side.features = features;
  if (side.rows.size() == n) return side;
  for (const std::size_t i : side.rows) {
    const auto row = features.subspan(i * width, width);
    // Distances would name the row by its place among the labelled ones.
    const auto wrong =
        std::find_if(row.begin(), row.end(), [](float x) { return !std::isfinite(x); });
    DETENTE_CHECK(wrong == row.end(),
                  ErrorCode::kNumeric,
                  "[valuation::lava] feature {} of {} row {} is {}; expected finite numbers. Leave "
                  "the row out, or look at what made it",
                  wrong - row.begin(),
                  name,
                  i,
                  *wrong);
    side.copied.insert(side.copied.end(), row.begin(), row.end());
  }
  side.features = side.copied;
  return side;
}

struct Gaussian {
  std::vector<double> mean;
  std::vector<double> deviation;
};

std::map<double, Gaussian> gaussians_of(const Side& side, std::size_t width) {
  std::map<double, std::vector<std::size_t>> rows;
  for (std::size_t i = 0; i < side.labels.size(); ++i) rows[side.labels[i]].push_back(i);
  std::map<double, Gaussian> result;
  for (const auto& [label, members] : rows) {
    Gaussian one{std::vector<double>(width, 0.0), std::vector<double>(width, 0.0)};
    const auto count = static_cast<double>(members.size());
    for (const std::size_t i : members) {
      for (std::size_t c = 0; c < width; ++c) one.mean[c] += side.features[i * width + c] / count;
    }
    for (const std::size_t i : members) {
      for (std::size_t c = 0; c < width; ++c) {
        const double off = side.features[i * width + c] - one.mean[c];
        one.deviation[c] += off * off / count;
      }
    }
    for (double& x : one.deviation) x = std::sqrt(x);
    result[label] = std::move(one);
  }
  return result;
}

double squared_distance(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0.0;
  for (std::size_t c = 0; c < a.size(); ++c) sum += (a[c] - b[c]) * (a[c] - b[c]);
  return sum;
}

// What the labels add to a row's costs, for each validation row.
class LabelCosts {
 public:
  LabelCosts(const Side& train, const Side& validation, std::size_t width, bool classes)
      : train_(train), validation_(validation), classes_(classes) {
    if (!classes || train.labels.empty()) return;
    const auto from = gaussians_of(train, width);
    const auto to = gaussians_of(validation, width);
    std::map<double, std::size_t> places;
    for (const auto& [label, one] : from) places.emplace(label, places.size());
    for (const double label : train.labels) class_of_.push_back(places[label]);
    for (const auto& [label, other] : to) {
      std::vector<double>& row = between_[label];
      for (const auto& [ignored, one] : from) {
        row.push_back(squared_distance(one.mean, other.mean) +
                      squared_distance(one.deviation, other.deviation));
      }
    }
  }

  void add(std::size_t validation_row, double weight, std::span<float> costs) const {
    if (train_.labels.empty() || weight == 0) return;
    const double label = validation_.labels[validation_row];
    const std::vector<double>* row = classes_ ? &between_.at(label) : nullptr;
    for (std::size_t i = 0; i < costs.size(); ++i) {
      const double off = train_.labels[i] - label;
      costs[i] += static_cast<float>(weight * (classes_ ? (*row)[class_of_[i]] : off * off));
    }
  }

 private:
  const Side& train_;
  const Side& validation_;
  bool classes_;
  std::vector<std::size_t> class_of_;              // of each training row, among the table's
  std::map<double, std::vector<double>> between_;  // of each validation class
};

// The two potentials, in the costs' unit. Costs are [m, n].
class Sinkhorn {
 public:
  Sinkhorn(const std::vector<float>& costs,
           std::size_t n,
           std::size_t m,
           double epsilon,
           std::size_t threads)
      : costs_(costs), n_(n), m_(m), epsilon_(epsilon), threads_(threads), f_(n), g_(m) {
    f_.setZero();
    g_.setZero();
  }

  const Doubles& f() const { return f_; }

  // One iteration; the marginal error of the training side before f changed. That of the other
  // side was 0 then.
  double step() {
    update_g();
    const Doubles before = f_;
    update_f();
    double error = 0.0;
    for (Eigen::Index i = 0; i < f_.size(); ++i) {
      error += std::abs(std::expm1((before[i] - f_[i]) / epsilon_));
    }
    return error / static_cast<double>(n_);
  }

  // ⟨P, C⟩, row by row so that threads change nothing.
  double transport_cost() const {
    std::vector<double> sums(m_);
    share_work(m_, threads_, [&](std::size_t, std::size_t t) {
      const Doubles cost = row(t).cast<double>();
      sums[t] = (((f_ + g_[static_cast<Eigen::Index>(t)] - cost) / epsilon_).exp() * cost).sum();
    });
    double sum = 0.0;
    for (const double one : sums) sum += one;
    return sum / static_cast<double>(n_) / static_cast<double>(m_);
  }

 private:
  Costs row(std::size_t t) const { return {costs_.data() + t * n_, static_cast<Eigen::Index>(n_)}; }

  // g_j = −ε log Σ_i exp((f_i − C_ij)/ε) / n, with the largest exponent taken out.
  void update_g() {
    share_work(m_, threads_, [&](std::size_t, std::size_t t) {
      const Doubles gains = f_ - row(t).cast<double>();
      const double largest = gains.maxCoeff();
      const double sum = ((gains - largest) / epsilon_).exp().sum();
      g_[static_cast<Eigen::Index>(t)] =
          -largest - epsilon_ * std::log(sum / static_cast<double>(n_));
    });
  }

  // The same for f, a stretch of it at a time, since costs lie row by row.
  void update_f() {
    constexpr std::size_t kStretch = 256;
    share_work((n_ + kStretch - 1) / kStretch, threads_, [&](std::size_t, std::size_t stretch) {
      const auto begin = static_cast<Eigen::Index>(stretch * kStretch);
      const auto count = std::min(static_cast<Eigen::Index>(kStretch), f_.size() - begin);
      Doubles largest = Doubles::Constant(count, -std::numeric_limits<double>::infinity());
      for (std::size_t t = 0; t < m_; ++t) {
        const double g = g_[static_cast<Eigen::Index>(t)];
        largest = largest.max(g - row(t).segment(begin, count).cast<double>());
      }
      Doubles sums = Doubles::Zero(count);
      for (std::size_t t = 0; t < m_; ++t) {
        const double g = g_[static_cast<Eigen::Index>(t)];
        sums += ((g - row(t).segment(begin, count).cast<double>() - largest) / epsilon_).exp();
      }
      f_.segment(begin, count) = -largest - epsilon_ * (sums / static_cast<double>(m_)).log();
    });
  }

  const std::vector<float>& costs_;
  std::size_t n_;
  std::size_t m_;
  double epsilon_;
  std::size_t threads_;
  Doubles f_;
  Doubles g_;
};

void check(const LavaTask& task, const LavaOptions& options) {
  DETENTE_CHECK(task.labels.empty() == task.validation_labels.empty(),
                ErrorCode::kShape,
                "[valuation::lava] there are {} labels of training and {} of validation rows; "
                "expected both or neither",
                task.labels.size(),
                task.validation_labels.size());
  DETENTE_CHECK(std::isfinite(options.label_weight) && options.label_weight >= 0,
                ErrorCode::kInvalidArgument,
                "[valuation::lava] label_weight is {}; expected a number from 0",
                options.label_weight);
  DETENTE_CHECK(std::isfinite(options.epsilon) && options.epsilon > 0,
                ErrorCode::kInvalidArgument,
                "[valuation::lava] epsilon is {}; expected a number above 0, such as 0.05",
                options.epsilon);
  DETENTE_CHECK(options.tolerance >= 0 && options.max_iterations > 0,
                ErrorCode::kInvalidArgument,
                "[valuation::lava] tolerance is {} and max_iterations {}; expected numbers from 0 "
                "and from 1",
                options.tolerance,
                options.max_iterations);
}

void check_memory(std::size_t n, std::size_t m, std::size_t memory) {
  const std::size_t most = memory / sizeof(float) / n;
  DETENTE_CHECK(m <= most,
                ErrorCode::kInvalidArgument,
                "[valuation::lava] the costs of {} training and {} validation rows take {} MiB; "
                "expected at most {}. Take {}",
                n,
                m,
                n * m * sizeof(float) >> 20U,
                memory >> 20U,
                most > 0 ? fmt::format("at most {} validation rows", most)
                         : fmt::format("at most {} training rows", memory / sizeof(float)));
}

}  // namespace

LavaValues lava(std::span<const float> train,
                std::span<const float> validation,
                std::size_t width,
                const LavaTask& task,
                const LavaOptions& options) {
  using internal::Distances;
  check(task, options);
  const bool labelled = !task.labels.empty();
  const Side from = take_side(train, width, task.labels, labelled, "training");
  const Side to = take_side(validation, width, task.validation_labels, labelled, "validation");
  const std::size_t n = from.rows.size();
  const std::size_t m = to.rows.size();
  check_memory(n, m, options.memory);
  const std::size_t threads = worker_count(options.threads, n * m / 10000 + 1);
  const Distances pairs(
      from.features, to.features, width, "valuation::lava", "training", "validation");
  const LabelCosts labels(from, to, width, task.classes);
  std::vector<float> costs(n * m);
  LavaValues result;
  for (std::size_t first = 0; first < m; first += Distances::kRows) {
    const std::size_t count = std::min(Distances::kRows, m - first);
    pairs.compute(first, count, threads, costs.data() + first * n);
    for (std::size_t t = first; t < first + count; ++t) {
      const std::span<float> row(costs.data() + t * n, n);
      labels.add(t, options.label_weight, row);
      double sum = 0.0;
      for (const float cost : row) sum += cost;
      result.mean_cost += sum / static_cast<double>(n) / static_cast<double>(m);
    }
  }
  // Where nothing costs anything, any ε says so.
  const double epsilon = result.mean_cost > 0 ? options.epsilon * result.mean_cost : 1.0;
  Sinkhorn sinkhorn(costs, n, m, epsilon, threads);
  const auto most = static_cast<std::size_t>(options.max_iterations);
  while (!result.converged && result.iterations < options.max_iterations) {
    result.marginal_error = sinkhorn.step();
    ++result.iterations;
    result.converged = result.marginal_error <= options.tolerance;
    if (options.progress && !options.progress(static_cast<std::size_t>(result.iterations), most)) {
      break;
    }
  }
  result.transport_cost = sinkhorn.transport_cost();
  const std::size_t all = train.size() / width;
  result.estimate = {std::vector<double>(all, kNan),
                     std::vector<double>(all, kNan),
                     std::vector<std::int64_t>(all, 0)};
  const double sum = sinkhorn.f().sum();
  for (std::size_t i = 0; i < n; ++i) {
    const double f = sinkhorn.f()[static_cast<Eigen::Index>(i)];
    const double others = n > 1 ? (sum - f) / static_cast<double>(n - 1) : f;
    result.estimate.values[from.rows[i]] = others - f;
    result.estimate.counts[from.rows[i]] = static_cast<std::int64_t>(m);
  }
  return result;
}

}  // namespace detente::valuation
