// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/simd/gram.h>
#include <detente/valuation/ridge.h>

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

namespace detente::valuation {
namespace {

constexpr std::size_t kBlock = 512;  // rows taken at once
// Between the columns of a block: a power of two would send them to the same places of the cache.
constexpr std::size_t kStride = kBlock + 8;

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using ColumnMajor = Eigen::MatrixXd;

std::size_t columns_of(const RidgeTask& task) { return task.classes == 0 ? 1 : task.classes; }

// What column c of a task is to be for a label.
double target(const RidgeTask& task, double label, std::size_t c) {
  if (task.classes == 0) return label;
  return label == static_cast<double>(c) ? 1.0 : -1.0;
}

void check_features(std::span<const float> features, std::size_t width, const char* who) {
  DETENTE_CHECK(width > 0 && features.size() % width == 0,
                ErrorCode::kShape,
                "[valuation::{}] the features are {} numbers; expected rows of {}",
                who,
                features.size(),
                width);
  for (std::size_t i = 0; i < features.size(); ++i) {
    DETENTE_CHECK(std::isfinite(features[i]),
                  ErrorCode::kNumeric,
                  "[valuation::{}] feature {} of row {} is {}; expected finite numbers. Leave the "
                  "row out, or look at what made it",
                  who,
                  i % width,
                  i / width,
                  features[i]);
  }
}

void check_labels(const RidgeTask& task, std::size_t t, std::size_t rows, const char* who) {
  DETENTE_CHECK(
      task.labels.size() == rows,
      ErrorCode::kShape,
      "[valuation::{}] task {} has {} labels; expected one for each of {} rows, NaN where "
      "there is none",
      who,
      t,
      task.labels.size(),
      rows);
  for (std::size_t i = 0; i < rows; ++i) {
    const double y = task.labels[i];
    DETENTE_CHECK(!std::isinf(y),
                  ErrorCode::kNumeric,
                  "[valuation::{}] the label of row {} of task {} is {}; expected a finite number, "
                  "or NaN where there is none",
                  who,
                  i,
                  t,
                  y);
    DETENTE_CHECK(
        task.classes == 0 || std::isnan(y) ||
            (y >= 0 && y < static_cast<double>(task.classes) && y == std::floor(y)),
        ErrorCode::kInvalidArgument,
        "[valuation::{}] the label of row {} of task {} is {}; expected a class from 0 to "
        "{}",
        who,
        i,
        t,
        y,
        task.classes - 1);
  }
}

// Inner products of rows, the lower triangle of [k, k].
RowMajor gram_of(const std::vector<const double*>& rows, std::size_t length) {
  const auto k = static_cast<Eigen::Index>(rows.size());
  RowMajor gram = RowMajor::Zero(k, k);
  simd::add_gram(rows.data(), k, 0, static_cast<std::int64_t>(length), gram.data());
  return gram;
}

}  // namespace

Ridge::Ridge(std::span<const float> features,
             std::size_t width,
             std::vector<RidgeTask> tasks,
             double l2)
    : features_(features), width_(width), rows_(0), tasks_(std::move(tasks)), l2_(l2) {
  check_features(features, width, "Ridge");
  rows_ = features.size() / width;
  DETENTE_CHECK(std::isfinite(l2) && l2 > 0,
                ErrorCode::kInvalidArgument,
                "[valuation::Ridge] l2 is {}; expected a number above 0",
                l2);
  DETENTE_CHECK(!tasks_.empty(),
                ErrorCode::kInvalidArgument,
                "[valuation::Ridge] there is no task; expected labels of at least one");
  first_column_.push_back(0);
  for (std::size_t t = 0; t < tasks_.size(); ++t) {
    DETENTE_CHECK(tasks_[t].classes != 1,
                  ErrorCode::kInvalidArgument,
                  "[valuation::Ridge] task {} has one class; expected 2 or more, or 0 for numbers",
                  t);
    check_labels(tasks_[t], t, rows_, "Ridge");
    first_column_.push_back(first_column_.back() + columns_of(tasks_[t]));
  }
  fit({});
}

std::vector<std::vector<std::size_t>> Ridge::groups_of(
    std::span<const std::size_t> distinct) const {
  std::map<std::vector<bool>, std::vector<std::size_t>> groups;
  for (std::size_t t = 0; t < tasks_.size(); ++t) {
    std::vector<bool> labelled;
    for (const std::size_t row : distinct) labelled.push_back(!std::isnan(tasks_[t].labels[row]));
    groups[std::move(labelled)].push_back(t);
  }
  std::vector<std::vector<std::size_t>> result;
  for (auto& [labelled, tasks] : groups) result.push_back(std::move(tasks));
  return result;
}

void Ridge::fit(std::span<const std::size_t> rows) {
  std::vector<std::size_t> sorted(rows.begin(), rows.end());
  std::sort(sorted.begin(), sorted.end());
  DETENTE_CHECK(sorted.empty() || sorted.back() < rows_,
                ErrorCode::kInvalidArgument,
                "[valuation::Ridge::fit] row {} is asked for; expected rows below {}",
                sorted.back(),
                rows_);
  std::vector<std::size_t> distinct;
  std::vector<double> repeats;
  for (const std::size_t row : sorted) {
    if (distinct.empty() || distinct.back() != row) {
      distinct.push_back(row);
      repeats.push_back(0.0);
    }
    repeats.back() += 1.0;
  }
  const std::size_t columns = first_column_.back();
  weights_.assign(width_ * columns, 0.0);
  intercepts_.assign(columns, 0.0);
  fitted_.assign(tasks_.size(), 0);
  for (const std::vector<std::size_t>& tasks : groups_of(distinct)) {
    std::vector<std::size_t> labelled;
    std::vector<double> times;
    for (std::size_t i = 0; i < distinct.size(); ++i) {
      if (std::isnan(tasks_[tasks[0]].labels[distinct[i]])) continue;
      labelled.push_back(distinct[i]);
      times.push_back(repeats[i]);
    }
    if (!labelled.empty()) fit_group(labelled, times, tasks);
  }
}

// Columns of all tasks at hand, and rows less their mean, times the root of their repeats.
struct Ridge::Columns {
  std::vector<std::pair<std::size_t, std::size_t>> of;  // task, column of the task
  std::vector<double> x_mean;
  std::vector<double> y_mean;
};

void Ridge::fit_group(std::span<const std::size_t> rows,
                      std::span<const double> repeats,
                      std::span<const std::size_t> tasks) {
  const std::size_t n = rows.size();
  const std::size_t d = width_;
  Columns columns;
  for (const std::size_t t : tasks) {
    for (std::size_t c = 0; c < columns_of(tasks_[t]); ++c) columns.of.emplace_back(t, c);
  }
  const std::size_t targets = columns.of.size();
  columns.x_mean.assign(d, 0.0);
  columns.y_mean.assign(targets, 0.0);
  double total = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    const float* x = features_.data() + rows[i] * d;
    for (std::size_t c = 0; c < d; ++c) columns.x_mean[c] += repeats[i] * x[c];
    for (std::size_t c = 0; c < targets; ++c) {
      const auto& [t, column] = columns.of[c];
      columns.y_mean[c] += repeats[i] * target(tasks_[t], tasks_[t].labels[rows[i]], column);
    }
    total += repeats[i];
  }
  for (double& mean : columns.x_mean) mean /= total;
  for (double& mean : columns.y_mean) mean /= total;
  const auto x_of = [&](std::size_t i, std::size_t c) {
    return std::sqrt(repeats[i]) * (features_[rows[i] * d + c] - columns.x_mean[c]);
  };
  const auto y_of = [&](std::size_t i, std::size_t c) {
    const auto& [t, column] = columns.of[c];
    const double y = target(tasks_[t], tasks_[t].labels[rows[i]], column);
    return std::sqrt(repeats[i]) * (y - columns.y_mean[c]);
  };
  ColumnMajor solution =
      ColumnMajor::Zero(static_cast<Eigen::Index>(d), static_cast<Eigen::Index>(targets));
  const auto penalty = [&](double trace) { return l2_ * trace / static_cast<double>(d); };
  if (n <= d) {
    // W = Xᵀ (X Xᵀ + λ I)^{-1} Y.
    RowMajor x(n, d);
    RowMajor y(n, targets);
    std::vector<const double*> starts(n);
    for (std::size_t i = 0; i < n; ++i) {
      starts[i] = x.data() + i * d;
      for (std::size_t c = 0; c < d; ++c) x(i, c) = x_of(i, c);
      for (std::size_t c = 0; c < targets; ++c) y(i, c) = y_of(i, c);
    }
    RowMajor gram = gram_of(starts, d);
    const double trace = gram.trace();
    if (trace > 0) {
      gram.diagonal().array() += penalty(trace);
      solution = x.transpose() * Eigen::LLT<RowMajor, Eigen::Lower>(gram).solve(y);
    }
  } else {
    // W = (Xᵀ X + λ I)^{-1} Xᵀ Y, both products as one Gram matrix of the columns of [X Y].
    const std::size_t k = d + targets;
    RowMajor gram = RowMajor::Zero(k, k);
    std::vector<double> block(k * kStride);
    std::vector<const double*> starts(k);
    for (std::size_t c = 0; c < k; ++c) starts[c] = block.data() + c * kStride;
    for (std::size_t first = 0; first < n; first += kBlock) {
      const std::size_t count = std::min(kBlock, n - first);
      for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t c = 0; c < d; ++c) block[c * kStride + i] = x_of(first + i, c);
        for (std::size_t c = 0; c < targets; ++c) {
          block[(d + c) * kStride + i] = y_of(first + i, c);
        }
      }
      simd::add_gram(starts.data(),
                     static_cast<std::int64_t>(k),
                     0,
                     static_cast<std::int64_t>(count),
                     gram.data());
    }
    RowMajor normal = gram.topLeftCorner(d, d);
    const double trace = normal.trace();
    if (trace > 0) {
      normal.diagonal().array() += penalty(trace);
      solution = Eigen::LLT<RowMajor, Eigen::Lower>(normal).solve(
          gram.bottomLeftCorner(targets, d).transpose());
    }
  }
  const std::size_t all = first_column_.back();
  for (std::size_t c = 0; c < targets; ++c) {
    const auto& [t, column] = columns.of[c];
    const std::size_t to = first_column_[t] + column;
    double intercept = columns.y_mean[c];
    for (std::size_t j = 0; j < d; ++j) {
      const double weight = solution(static_cast<Eigen::Index>(j), static_cast<Eigen::Index>(c));
      weights_[j * all + to] = weight;
      intercept -= weight * columns.x_mean[j];
    }
    intercepts_[to] = intercept;
  }
  for (const std::size_t t : tasks) fitted_[t] = 1;
}

std::vector<double> Ridge::outputs(std::span<const float> features) const {
  const auto all = static_cast<Eigen::Index>(first_column_.back());
  const auto d = static_cast<Eigen::Index>(width_);
  const auto m = static_cast<Eigen::Index>(features.size() / width_);
  using Floats = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::Map<const Floats> x(features.data(), m, d);
  const Eigen::Map<const RowMajor> weights(weights_.data(), d, all);
  const Eigen::Map<const Eigen::RowVectorXd> intercepts(intercepts_.data(), all);
  std::vector<double> result(static_cast<std::size_t>(m * all));
  Eigen::Map<RowMajor> to(result.data(), m, all);
  constexpr auto kRows = static_cast<Eigen::Index>(kBlock);
  for (Eigen::Index first = 0; first < m; first += kRows) {
    const Eigen::Index count = std::min(kRows, m - first);
    const RowMajor block = x.middleRows(first, count).cast<double>();
    to.middleRows(first, count).noalias() = block * weights;
    to.middleRows(first, count).rowwise() += intercepts;
  }
  return result;
}

double Ridge::predict_one(std::size_t task, const double* outputs) const {
  const double* first = outputs + first_column_[task];
  if (tasks_[task].classes == 0) return *first;
  if (fitted_[task] == 0) return kNan;
  return static_cast<double>(std::max_element(first, first + tasks_[task].classes) - first);
}

double Ridge::score_one(std::size_t task, const double* outputs, double label) const {
  if (std::isnan(label)) return kNan;
  const std::size_t classes = tasks_[task].classes;
  const double predicted = predict_one(task, outputs);
  if (classes == 0) return -(label - predicted) * (label - predicted);
  if (fitted_[task] == 0) return 1.0 / static_cast<double>(classes);
  return predicted == label ? 1.0 : 0.0;
}

std::vector<double> Ridge::predict(std::span<const float> features) const {
  check_features(features, width_, "Ridge::predict");
  const std::vector<double> all = outputs(features);
  std::vector<double> result;
  for (std::size_t i = 0; i < features.size() / width_; ++i) {
    for (std::size_t t = 0; t < tasks_.size(); ++t) {
      result.push_back(predict_one(t, all.data() + i * first_column_.back()));
    }
  }
  return result;
}

std::vector<double> Ridge::score(std::span<const float> features,
                                 std::span<const RidgeTask> tasks) const {
  DETENTE_CHECK(
      tasks.size() == tasks_.size() && features.size() % width_ == 0,
      ErrorCode::kShape,
      "[valuation::Ridge::score] there are labels of {} tasks and {} numbers as features; "
      "expected those of {} tasks and rows of {}",
      tasks.size(),
      features.size(),
      tasks_.size(),
      width_);
  const std::size_t m = features.size() / width_;
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    DETENTE_CHECK(tasks[t].labels.size() == m,
                  ErrorCode::kShape,
                  "[valuation::Ridge::score] task {} has {} labels; expected one for each of {} "
                  "rows, NaN where there is none",
                  t,
                  tasks[t].labels.size(),
                  m);
  }
  const std::vector<double> all = outputs(features);
  std::vector<double> result;
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t t = 0; t < tasks.size(); ++t) {
      result.push_back(score_one(t, all.data() + i * first_column_.back(), tasks[t].labels[i]));
    }
  }
  return result;
}

std::vector<double> Ridge::score(std::span<const std::size_t> rows) const {
  std::vector<float> features(rows.size() * width_);
  std::vector<std::vector<double>> labels(tasks_.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    DETENTE_CHECK(rows[i] < rows_,
                  ErrorCode::kInvalidArgument,
                  "[valuation::Ridge::score] row {} is asked for; expected rows below {}",
                  rows[i],
                  rows_);
    std::copy_n(features_.data() + rows[i] * width_, width_, features.data() + i * width_);
    for (std::size_t t = 0; t < tasks_.size(); ++t) {
      labels[t].push_back(tasks_[t].labels[rows[i]]);
    }
  }
  std::vector<RidgeTask> tasks;
  for (std::size_t t = 0; t < tasks_.size(); ++t) tasks.push_back({labels[t], tasks_[t].classes});
  return score(features, tasks);
}

FitAndScore oob_of(Ridge& ridge) {
  return [&ridge](std::span<const std::size_t> drawn, std::span<const std::size_t> others) {
    ridge.fit(drawn);
    return ridge.score(others);
  };
}

Utility utility_of(Ridge& ridge, std::span<const float> features, std::vector<RidgeTask> tasks) {
  std::vector<double> labelled(tasks.size(), 0.0);
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    for (const double y : tasks[t].labels) labelled[t] += std::isnan(y) ? 0.0 : 1.0;
    DETENTE_CHECK(
        labelled[t] > 0,
        ErrorCode::kInvalidArgument,
        "[valuation::utility_of] task {} has no label among the rows that judge; expected "
        "at least one",
        t);
  }
  ridge.score(features, tasks);  // the errors now
  return
      [&ridge, features, tasks = std::move(tasks), labelled](std::span<const std::size_t> members) {
        ridge.fit(members);
        const std::vector<double> scores = ridge.score(features, tasks);
        std::vector<double> means(tasks.size(), 0.0);
        for (std::size_t i = 0; i < scores.size(); ++i) {
          const std::size_t t = i % tasks.size();
          if (!std::isnan(scores[i])) means[t] += scores[i] / labelled[t];
        }
        return means;
      };
}

}  // namespace detente::valuation
