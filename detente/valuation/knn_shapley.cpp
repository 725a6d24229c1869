// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/core/workers.h>
#include <detente/valuation/internal/distances.h>
#include <detente/valuation/knn_shapley.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace detente::valuation {
namespace {

double weight(std::size_t k, std::size_t rank) {
  return 1.0 / static_cast<double>(std::max(k, rank));
}

// s_r = w_r u_r + Σ_{j>r} (w_j − w_{j−1}) u_j with w_r = 1/max(K, r). Within a group of equal
// distances on ranks a to b, a member's rank is uniform and the others fill the rest uniformly; the
// telescoping sum leaves of the w the last one and their mean.
void add_values(std::span<const double> matches,
                std::span<const float> distances,
                const KnnRule& rule,
                std::span<double> values) {
  const std::size_t n = matches.size();
  const bool soft = rule.utility == KnnUtility::kSoft;
  const std::size_t k = soft ? std::min(rule.k, n) : rule.k;
  double beyond = 0.0;  // Σ over the ranks of farther groups
  double total = 0.0;
  for (std::size_t b = n; b > 0;) {
    std::size_t a = b - 1;  // [a, b) from 0 are ranks a + 1 to b
    double matched = matches[a];
    while (!distances.empty() && a > 0 && distances[a - 1] == distances[b - 1]) {
      matched += matches[--a];
    }
    const double last = weight(k, b);
    if (b - a == 1) {
      values[a] = last * matches[a] + beyond;
    } else {
      const auto size = static_cast<double>(b - a);
      double mean = 0.0;
      for (std::size_t r = a; r < b; ++r) mean += weight(k, r + 1);
      mean /= size;
      for (std::size_t r = a; r < b; ++r) {
        const double others = (matched - matches[r]) / (size - 1);
        values[r] = mean * matches[r] + (last - mean) * others + beyond;
      }
    }
    if (a > 0) beyond += (last - weight(k, a)) * matched / static_cast<double>(b - a);
    total += matched;
    b = a;
  }
  if (!soft) return;
  double slope = 0.0;
  for (std::size_t j = 2; j <= k; ++j) slope += 1.0 / static_cast<double>(j);
  if (n > 1) slope /= static_cast<double>(n - 1);
  const auto count = static_cast<double>(n);
  for (std::size_t r = 0; r < n; ++r) {
    values[r] += slope * (matches[r] - total / count) - rule.nobody / count;
  }
}

// The order of one test point's distances, by radix: three passes over 11 bits each. Bits of
// numbers that are not negative have the order of the numbers; the sort is stable, so equal ones
// stay in the order of their indices.
class Ranking {
 public:
  void sort(std::span<const float> distances) {
    const std::size_t n = distances.size();
    items_.resize(n);
    spare_.resize(n);
    for (std::size_t i = 0; i < n; ++i) {
      items_[i] = std::uint64_t{std::bit_cast<std::uint32_t>(distances[i])} << 32U | i;
    }
    for (const unsigned shift : {32U, 43U, 54U}) pass(shift);
  }
  std::uint32_t index(std::size_t rank) const { return static_cast<std::uint32_t>(items_[rank]); }
  float distance(std::size_t rank) const {
    return std::bit_cast<float>(static_cast<std::uint32_t>(items_[rank] >> 32U));
  }

 private:
  void pass(unsigned shift) {
    std::array<std::uint32_t, 2048> place{};
    for (const std::uint64_t item : items_) ++place[item >> shift & 2047U];
    std::uint32_t before = 0;
    for (std::uint32_t& one : place) {
      const std::uint32_t count = one;
      one = before;
      before += count;
    }
    for (const std::uint64_t item : items_) spare_[place[item >> shift & 2047U]++] = item;
    items_.swap(spare_);
  }

  std::vector<std::uint64_t> items_;
  std::vector<std::uint64_t> spare_;
};

void check_labels(std::span<const double> labels,
                  std::size_t rows,
                  const char* name,
                  std::size_t t) {
  DETENTE_CHECK(labels.size() == rows,
                ErrorCode::kShape,
                "[valuation::knn_shapley] task {} has {} {} labels; expected one for each of {} "
                "rows, NaN where there is none",
                t,
                labels.size(),
                name,
                rows);
  const auto wrong =
      std::find_if(labels.begin(), labels.end(), [](double y) { return std::isinf(y); });
  DETENTE_CHECK(wrong == labels.end(),
                ErrorCode::kNumeric,
                "[valuation::knn_shapley] the label of {} row {} of task {} is {}; expected a "
                "finite number, or NaN where there is none",
                name,
                wrong - labels.begin(),
                t,
                *wrong);
}

void check(std::span<const KnnTask> tasks,
           const KnnOptions& options,
           std::size_t n,
           std::size_t m) {
  DETENTE_CHECK(options.k > 0,
                ErrorCode::kInvalidArgument,
                "[valuation::knn_shapley] k is 0; expected at least one neighbour");
  DETENTE_CHECK(!tasks.empty(),
                ErrorCode::kInvalidArgument,
                "[valuation::knn_shapley] there is no task; expected labels of at least one");
  DETENTE_CHECK(n < std::numeric_limits<std::uint32_t>::max(),
                ErrorCode::kInvalidArgument,
                "[valuation::knn_shapley] there are {} training examples; expected fewer than 2^32",
                n);
  for (std::size_t t = 0; t < tasks.size(); ++t) {
    check_labels(tasks[t].labels, n, "training", t);
    check_labels(tasks[t].test_labels, m, "test", t);
    DETENTE_CHECK(std::isfinite(tasks[t].tolerance) && tasks[t].tolerance >= 0,
                  ErrorCode::kInvalidArgument,
                  "[valuation::knn_shapley] the tolerance of task {} is {}; expected 0 or more",
                  t,
                  tasks[t].tolerance);
  }
}

// Mean and squared deviations of every example over the test points (Welford).
struct Tally {
  std::int64_t points = 0;
  std::vector<double> means;
  std::vector<double> squares;

  explicit Tally(std::size_t n) : means(n, 0.0), squares(n, 0.0) {}

  void add(const double* values, std::size_t begin, std::size_t end, std::int64_t point) {
    const double share = 1.0 / static_cast<double>(point);
    for (std::size_t i = begin; i < end; ++i) {
      const double off = values[i] - means[i];
      means[i] += off * share;
      squares[i] += off * (values[i] - means[i]);
    }
  }

  Estimate take(std::span<const double> labels) {
    const std::size_t n = means.size();
    Estimate result{std::move(means), std::move(squares), std::vector<std::int64_t>(n, points)};
    const auto m = static_cast<double>(points);
    for (std::size_t i = 0; i < n; ++i) {
      const bool unknown = points == 0 || std::isnan(labels[i]);
      if (unknown) result.values[i] = kNan;
      if (unknown) result.counts[i] = 0;
      double& error = result.standard_errors[i];
      error = unknown || points < 2 ? kNan : std::sqrt(error / (m - 1) / m);
    }
    return result;
  }
};

// One worker's storage.
struct Scratch {
  Ranking ranking;
  std::vector<std::uint32_t> players;
  std::vector<double> matches;
  std::vector<float> distances;
  std::vector<double> values;
};

// The values of one task at one test point, at the players' places of `to`.
void value_point(const KnnTask& task,
                 double label,
                 const KnnRule& rule,
                 std::span<const std::uint32_t> order,
                 std::span<const float> distances,
                 Scratch& scratch,
                 double* to) {
  scratch.players.clear();
  scratch.matches.clear();
  scratch.distances.clear();
  for (const std::uint32_t i : order) {
    const double y = task.labels[i];
    if (std::isnan(y)) continue;
    scratch.players.push_back(i);
    scratch.matches.push_back(std::abs(y - label) <= task.tolerance ? 1.0 : 0.0);
    scratch.distances.push_back(distances[i]);
  }
  scratch.values.resize(scratch.players.size());
  add_values(scratch.matches, scratch.distances, rule, scratch.values);
  for (std::size_t r = 0; r < scratch.players.size(); ++r) {
    to[scratch.players[r]] = scratch.values[r];
  }
}

}  // namespace

void knn_shapley_of_ranking(std::span<const double> matches,
                            std::span<const float> distances,
                            const KnnRule& rule,
                            std::span<double> values) {
  DETENTE_CHECK(rule.k > 0,
                ErrorCode::kInvalidArgument,
                "[valuation::knn_shapley_of_ranking] k is 0; expected at least one neighbour");
  DETENTE_CHECK(
      values.size() == matches.size() && (distances.empty() || distances.size() == matches.size()),
      ErrorCode::kShape,
      "[valuation::knn_shapley_of_ranking] there are {} matches, {} distances and room "
      "for {} values; expected as many of each",
      matches.size(),
      distances.size(),
      values.size());
  add_values(matches, distances, rule, values);
}

std::vector<Estimate> knn_shapley(std::span<const float> train,
                                  std::span<const float> test,
                                  std::size_t width,
                                  std::span<const KnnTask> tasks,
                                  const KnnOptions& options) {
  using internal::Distances;
  check(tasks,
        options,
        train.size() / std::max<std::size_t>(width, 1),
        test.size() / std::max<std::size_t>(width, 1));
  const Distances pairs(train, test, width, "valuation::knn_shapley", "training", "test");
  const std::size_t n = pairs.a_rows();
  const std::size_t m = pairs.b_rows();
  // Bytes of an example for each thread that sorts, and for each point at hand (a distance, a place
  // in the order, a value).
  const std::size_t sorting = n * 40;
  const std::size_t each = n * (sizeof(float) + sizeof(std::uint32_t) + sizeof(double));
  const std::size_t threads =
      std::min(worker_count(options.threads, std::max<std::size_t>(m, n / 1000)),
               std::max<std::size_t>(options.memory / 2 / sorting, 1));
  const std::size_t room = options.memory - std::min(options.memory, threads * sorting);
  const std::size_t at_once =
      std::min(std::clamp<std::size_t>(room / each, 1, Distances::kRows), m);
  std::vector<float> distances(at_once * n);
  std::vector<std::uint32_t> order(at_once * n);
  std::vector<double> values(at_once * n, 0.0);
  std::vector<Scratch> scratches(threads);
  std::vector<Tally> tallies(tasks.size(), Tally(n));
  constexpr std::size_t kStretch = 4096;
  for (std::size_t first = 0; first < m; first += at_once) {
    const std::size_t count = std::min(at_once, m - first);
    pairs.compute(first, count, threads, distances.data());
    share_work(count, threads, [&](std::size_t worker, std::size_t t) {
      Ranking& ranking = scratches[worker].ranking;
      ranking.sort({distances.data() + t * n, n});
      for (std::size_t r = 0; r < n; ++r) order[t * n + r] = ranking.index(r);
    });
    for (std::size_t task = 0; task < tasks.size(); ++task) {
      const KnnRule rule{options.k, options.utility, tasks[task].nobody};
      share_work(count, threads, [&](std::size_t worker, std::size_t t) {
        const double label = tasks[task].test_labels[first + t];
        if (std::isnan(label)) return;
        value_point(tasks[task],
                    label,
                    rule,
                    {order.data() + t * n, n},
                    {distances.data() + t * n, n},
                    scratches[worker],
                    values.data() + t * n);
      });
      // Point after point for every example, whoever computed it: sums do not depend on threads.
      Tally& tally = tallies[task];
      const auto labelled = [&](std::size_t t) {
        return !std::isnan(tasks[task].test_labels[first + t]);
      };
      share_work((n + kStretch - 1) / kStretch, threads, [&](std::size_t, std::size_t stretch) {
        const std::size_t begin = stretch * kStretch;
        std::int64_t point = tally.points;
        for (std::size_t t = 0; t < count; ++t) {
          if (!labelled(t)) continue;
          tally.add(values.data() + t * n, begin, std::min(n, begin + kStretch), ++point);
        }
      });
      for (std::size_t t = 0; t < count; ++t) tally.points += labelled(t) ? 1 : 0;
    }
    if (options.progress && !options.progress(first + count, m)) break;
  }
  std::vector<Estimate> result;
  for (std::size_t t = 0; t < tasks.size(); ++t) result.push_back(tallies[t].take(tasks[t].labels));
  return result;
}

}  // namespace detente::valuation
