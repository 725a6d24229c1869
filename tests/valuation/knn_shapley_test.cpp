// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/core/rng.h>
#include <detente/simd/target.h>
#include <detente/valuation/knn_shapley.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "tests/support/error_of.h"
#include "tests/valuation/made_values.h"
#include "tests/valuation/subsets.h"

namespace detente::valuation {
namespace {

using testing::HasSubstr;

constexpr double kTolerance = 1e-14;

// The game of one test point: the mean over all orders of equal distances. Of the group that the
// K-th neighbour belongs to, as many as there is room for are taken, each with the group's mean.
double utility(unsigned set,
               const std::vector<double>& matches,
               const std::vector<float>& distances,
               const KnnRule& rule) {
  std::vector<std::pair<float, double>> members;
  for (std::size_t i = 0; i < matches.size(); ++i) {
    if ((set >> i & 1U) != 0) members.emplace_back(distances[i], matches[i]);
  }
  if (members.empty()) return rule.utility == KnnUtility::kSoft ? rule.nobody : 0.0;
  std::sort(members.begin(), members.end());
  const std::size_t taken = std::min(rule.k, members.size());
  double sum = 0.0;
  for (std::size_t a = 0, b = 0; a < taken; a = b) {
    double matched = 0.0;
    for (b = a; b < members.size() && members[b].first == members[a].first; ++b) {
      matched += members[b].second;
    }
    const auto size = static_cast<double>(b - a);
    sum += matched / size * static_cast<double>(std::min(b, taken) - a);
  }
  return sum / static_cast<double>(rule.utility == KnnUtility::kSoft ? taken : rule.k);
}

std::vector<double> by_subsets(const std::vector<double>& matches,
                               const std::vector<float>& distances,
                               const KnnRule& rule) {
  return test::shapley_by_subsets(
      matches.size(), [&](unsigned set) { return utility(set, matches, distances, rule); });
}

TEST(KnnShapley, OfARankingAgreesWithAllSubsets) {
  Rng rng(1);
  for (const KnnUtility kind : {KnnUtility::kHard, KnnUtility::kSoft}) {
    for (std::size_t n = 1; n <= 8; ++n) {
      for (std::size_t k = 1; k <= 10; ++k) {
        for (int round = 0; round < 4; ++round) {
          SCOPED_TRACE(testing::Message() << n << " examples, K " << k << ", round " << round);
          const KnnRule rule{k, kind, 0.25};
          // Rounds: no ties, some, all equal; in the last all labels match.
          std::vector<float> distances(n);
          std::vector<double> matches(n);
          for (std::size_t i = 0; i < n; ++i) {
            distances[i] = round == 0   ? static_cast<float>(i)
                           : round == 2 ? 1.0F
                                        : static_cast<float>(rng.below(3));
            matches[i] = round == 3 ? 1.0 : static_cast<double>(rng.below(2));
          }
          std::sort(distances.begin(), distances.end());
          std::vector<double> values(n);
          knn_shapley_of_ranking(matches, distances, rule, values);
          test::expect_near(values, by_subsets(matches, distances, rule), kTolerance);
          if (round != 0) continue;
          std::vector<double> without(n);
          knn_shapley_of_ranking(matches, {}, rule, without);
          EXPECT_EQ(values, without);
        }
      }
    }
  }
}

TEST(KnnShapley, TakesMatchesThatAreAnyNumbers) {
  const std::vector<double> matches{0.3, -2.0, 0.0, 5.5, 1.0};
  const std::vector<float> distances{0, 1, 1, 1, 2};
  for (const KnnUtility kind : {KnnUtility::kHard, KnnUtility::kSoft}) {
    const KnnRule rule{2, kind, 0.5};
    std::vector<double> values(5);
    knn_shapley_of_ranking(matches, distances, rule, values);
    test::expect_near(values, by_subsets(matches, distances, rule), kTolerance);
  }
}

TEST(KnnShapley, OfTiesIsTheMeanOverTheirOrders) {
  const std::vector<double> matches{1, 0, 0, 1, 1, 0};
  const std::vector<float> distances{1, 2, 2, 2, 2, 3};
  const KnnRule rule{3};
  std::vector<double> values(6);
  knn_shapley_of_ranking(matches, distances, rule, values);
  std::vector<double> sums(6, 0.0);
  std::vector<std::size_t> order{0, 1, 2, 3, 4, 5};
  int orders = 0;
  do {
    std::vector<double> u(6);
    std::vector<double> s(6);
    for (std::size_t r = 0; r < 6; ++r) u[r] = matches[order[r]];
    knn_shapley_of_ranking(u, {}, rule, s);
    for (std::size_t r = 0; r < 6; ++r) sums[order[r]] += s[r];
    ++orders;
  } while (std::next_permutation(order.begin() + 1, order.begin() + 5));
  ASSERT_EQ(orders, 24);
  for (double& sum : sums) sum /= orders;
  test::expect_near(values, sums, kTolerance);
}

struct Problem {
  std::size_t n;
  std::size_t m;
  std::size_t width;
  std::vector<float> train;
  std::vector<float> test;
  std::vector<double> labels;
  std::vector<double> test_labels;
};

Problem draw(Rng& rng, std::size_t n, std::size_t m, std::size_t width, std::uint64_t classes) {
  Problem p{n, m, width, {}, {}, {}, {}};
  for (std::size_t i = 0; i < n * width; ++i) p.train.push_back(static_cast<float>(rng.normal()));
  for (std::size_t i = 0; i < m * width; ++i) p.test.push_back(static_cast<float>(rng.normal()));
  for (std::size_t i = 0; i < n; ++i) p.labels.push_back(static_cast<double>(rng.below(classes)));
  for (std::size_t i = 0; i < m; ++i) {
    p.test_labels.push_back(static_cast<double>(rng.below(classes)));
  }
  return p;
}

// Everything again in double, point by point: means and standard errors.
Estimate plainly(const Problem& p, const KnnTask& task, const KnnRule& rule) {
  std::vector<std::vector<double>> all(p.n);
  for (std::size_t t = 0; t < p.m; ++t) {
    if (std::isnan(task.test_labels[t])) continue;
    std::vector<std::pair<double, std::size_t>> order;
    for (std::size_t i = 0; i < p.n; ++i) {
      double square = 0.0;
      for (std::size_t c = 0; c < p.width; ++c) {
        const double off = double{p.train[i * p.width + c]} - p.test[t * p.width + c];
        square += off * off;
      }
      if (!std::isnan(task.labels[i])) order.emplace_back(square, i);
    }
    std::sort(order.begin(), order.end());
    std::vector<double> matches;
    std::vector<float> ranks;
    for (std::size_t r = 0; r < order.size(); ++r) {
      const double off = std::abs(task.labels[order[r].second] - task.test_labels[t]);
      matches.push_back(off <= task.tolerance ? 1 : 0);
      const bool tie = r > 0 && order[r].first == order[r - 1].first;
      ranks.push_back(tie ? ranks.back() : static_cast<float>(r));
    }
    std::vector<double> values(matches.size());
    knn_shapley_of_ranking(matches, ranks, rule, values);
    for (std::size_t r = 0; r < order.size(); ++r) all[order[r].second].push_back(values[r]);
  }
  Estimate result;
  for (const std::vector<double>& one : all) {
    const auto count = static_cast<double>(one.size());
    const double mean = std::accumulate(one.begin(), one.end(), 0.0) / count;
    double squares = 0.0;
    for (const double v : one) squares += (v - mean) * (v - mean);
    result.values.push_back(mean);
    result.standard_errors.push_back(std::sqrt(squares / (count - 1) / count));
    result.counts.push_back(static_cast<std::int64_t>(one.size()));
  }
  return result;
}

TEST(KnnShapley, OfFeaturesIsTheMeanOverTheTestPoints) {
  Rng rng(3);
  for (const auto& [n, m, width] :
       {std::array<std::size_t, 3>{1, 1, 1}, {7, 3, 2}, {121, 61, 5}, {300, 130, 33}}) {
    const Problem p = draw(rng, n, m, width, 3);
    for (const KnnUtility kind : {KnnUtility::kHard, KnnUtility::kSoft}) {
      const KnnTask task{p.labels, p.test_labels, 0.0, 1.0 / 3};
      const Estimate got = knn_shapley(p.train, p.test, p.width, std::vector{task}, {5, kind})[0];
      const Estimate expected = plainly(p, task, {5, kind, 1.0 / 3});
      test::expect_near(got.values, expected.values, 1e-12);
      EXPECT_EQ(got.counts, expected.counts);
      if (m > 1) test::expect_near(got.standard_errors, expected.standard_errors, 1e-12);
      EXPECT_EQ(std::isnan(got.standard_errors[0]), m == 1);
    }
  }
}

// Each task is the game of those who have its label; one sort serves them all.
TEST(KnnShapley, ValuesTasksWithLabelsOfTheirOwn) {
  Rng rng(4);
  Problem p = draw(rng, 90, 40, 6, 2);
  std::vector<double> numbers;
  for (std::size_t i = 0; i < p.n; ++i) numbers.push_back(rng.below(4) == 0 ? kNan : rng.normal());
  std::vector<double> test_numbers;
  for (std::size_t t = 0; t < p.m; ++t) {
    test_numbers.push_back(rng.below(3) == 0 ? kNan : rng.normal());
  }
  const std::vector<double> nobody(p.m, kNan);
  const std::vector<KnnTask> tasks{
      {p.labels, p.test_labels}, {numbers, test_numbers, 0.4}, {p.labels, nobody}};
  const auto got = knn_shapley(p.train, p.test, p.width, tasks, {7});
  ASSERT_EQ(got.size(), 3u);
  test::expect_near(got[0].values, plainly(p, tasks[0], {7}).values, 1e-12);
  const Estimate expected = plainly(p, tasks[1], {7});
  for (std::size_t i = 0; i < p.n; ++i) {
    EXPECT_EQ(got[1].counts[i], expected.counts[i]);
    EXPECT_EQ(std::isnan(got[1].values[i]), std::isnan(numbers[i]));
    EXPECT_EQ(std::isnan(got[1].standard_errors[i]), std::isnan(numbers[i]));
    EXPECT_TRUE(std::isnan(got[2].values[i]));
    EXPECT_EQ(got[2].counts[i], 0);
    if (std::isnan(numbers[i])) continue;
    EXPECT_NEAR(got[1].values[i], expected.values[i], 1e-12);
  }
}

// Wherever copies stand among tiles and batches, their distances are the same to the bit, however
// far the features are from 0.
TEST(KnnShapley, EqualExamplesHaveEqualValues) {
  Rng rng(5);
  for (const simd::Target target : simd::available_targets()) {
    const simd::UseTarget use(target);
    for (const std::size_t width : {std::size_t{3}, std::size_t{70}}) {
      Problem p = draw(rng, 500, 75, width, 2);
      for (float& x : p.train) x += 1000;
      for (float& x : p.test) x += 1000;
      for (std::size_t i = 250; i < 500; ++i) {
        const std::size_t from = (i - 250) * 7 % 250;
        std::copy_n(p.train.begin() + static_cast<std::ptrdiff_t>(from * width),
                    width,
                    p.train.begin() + static_cast<std::ptrdiff_t>(i * width));
        p.labels[i] = p.labels[from];
      }
      const KnnTask task{p.labels, p.test_labels};
      const auto got = knn_shapley(p.train, p.test, width, std::vector{task}, {3})[0];
      for (std::size_t i = 250; i < 500; ++i) {
        EXPECT_NEAR(got.values[i], got.values[(i - 250) * 7 % 250], 1e-15);
      }
      test::expect_near(got.values, plainly(p, task, {3}).values, 1e-12);
    }
  }
}

TEST(KnnShapley, DoesNotDependOnThreadsOrMemory) {
  Rng rng(6);
  const Problem p = draw(rng, 5000, 70, 12, 4);
  const std::vector<KnnTask> tasks{{p.labels, p.test_labels}, {p.labels, p.test_labels, 1.0}};
  const auto one = knn_shapley(p.train, p.test, p.width, tasks, {10, KnnUtility::kHard, 1});
  for (const int threads : {2, 3, 7}) {
    const auto other =
        knn_shapley(p.train, p.test, p.width, tasks, {10, KnnUtility::kHard, threads});
    for (std::size_t t = 0; t < 2; ++t) {
      EXPECT_EQ(one[t].values, other[t].values);
      EXPECT_EQ(one[t].standard_errors, other[t].standard_errors);
    }
  }
  const auto little =
      knn_shapley(p.train, p.test, p.width, tasks, {10, KnnUtility::kHard, 2, 1000});
  test::expect_near(one[0].values, little[0].values, 1e-12);
}

TEST(KnnShapley, SumsToTheAccuracyAndIsLinearInTheTestPoints) {
  Rng rng(7);
  const Problem p = draw(rng, 60, 20, 4, 3);
  const auto value = [&](std::size_t first, std::size_t count) {
    const KnnTask task{p.labels, std::span(p.test_labels).subspan(first, count)};
    return knn_shapley(p.train,
                       std::span(p.test).subspan(first * p.width, count * p.width),
                       p.width,
                       std::vector{task},
                       {4})[0]
        .values;
  };
  const auto all = value(0, 20);
  const auto head = value(0, 5);
  const auto tail = value(5, 15);
  for (std::size_t i = 0; i < p.n; ++i) {
    EXPECT_NEAR(all[i], 0.25 * head[i] + 0.75 * tail[i], kTolerance);
  }
  double accuracy = 0.0;
  for (std::size_t t = 0; t < p.m; ++t) {
    std::vector<std::pair<double, double>> order;
    for (std::size_t i = 0; i < p.n; ++i) {
      double square = 0.0;
      for (std::size_t c = 0; c < p.width; ++c) {
        const double off = double{p.train[i * p.width + c]} - p.test[t * p.width + c];
        square += off * off;
      }
      order.emplace_back(square, p.labels[i]);
    }
    std::sort(order.begin(), order.end());
    for (std::size_t r = 0; r < 4; ++r) accuracy += order[r].second == p.test_labels[t] ? 0.25 : 0;
  }
  EXPECT_NEAR(std::accumulate(all.begin(), all.end(), 0.0), accuracy / 20, 1e-13);
}

TEST(KnnShapley, StopsWhenToldAndKeepsThePointsSoFar) {
  Rng rng(8);
  const Problem p = draw(rng, 20, 200, 2, 2);
  const std::vector<KnnTask> tasks{{p.labels, p.test_labels}};
  std::vector<std::size_t> told;
  KnnOptions options{3};
  options.progress = [&](std::size_t done, std::size_t total) {
    EXPECT_EQ(total, 200u);
    told.push_back(done);
    return told.size() < 2;
  };
  const auto got = knn_shapley(p.train, p.test, p.width, tasks, options);
  EXPECT_EQ(told, (std::vector<std::size_t>{60, 120}));
  EXPECT_EQ(got[0].counts[0], 120);
  const std::vector<KnnTask> fewer{{p.labels, std::span(p.test_labels).first(120)}};
  EXPECT_EQ(got[0].values,
            knn_shapley(p.train, std::span(p.test).first(240), p.width, fewer, {3})[0].values);
}

TEST(KnnShapley, NamesTheRowThatIsWrong) {
  Rng rng(9);
  const Problem good = draw(rng, 10, 4, 3, 2);
  const auto error = [](const Problem& p, const KnnOptions& options) {
    const std::vector<KnnTask> tasks{{p.labels, p.test_labels}};
    return test::error_of([&] { knn_shapley(p.train, p.test, p.width, tasks, options); });
  };
  Problem p = good;
  p.train[3 * 7 + 2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(error(p, {}).code(), ErrorCode::kNumeric);
  EXPECT_THAT(error(p, {}).what(), HasSubstr("feature 2 of training row 7 is nan"));
  p = good;
  p.test[5] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(error(p, {}).what(), HasSubstr("feature 2 of test row 1 is inf"));
  p = good;
  p.train[0] = 1e25F;
  EXPECT_EQ(error(p, {}).code(), ErrorCode::kNumeric);
  EXPECT_THAT(error(p, {}).what(), HasSubstr("training row 0"));
  p = good;
  p.labels[4] = std::numeric_limits<double>::infinity();
  EXPECT_THAT(error(p, {}).what(), HasSubstr("training row 4 of task 0 is inf"));
  p = good;
  p.labels.pop_back();
  EXPECT_EQ(error(p, {}).code(), ErrorCode::kShape);
  p = good;
  p.train.pop_back();
  EXPECT_EQ(error(p, {}).code(), ErrorCode::kShape);
  EXPECT_EQ(error(good, {0}).code(), ErrorCode::kInvalidArgument);
  p = good;
  p.width = 0;
  EXPECT_EQ(error(p, {}).code(), ErrorCode::kShape);
  EXPECT_EQ(test::error_of([&] { knn_shapley(good.train, good.test, 3, {}); }).code(),
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace detente::valuation
