// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/core/rng.h>
#include <detente/valuation/ridge.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "tests/support/error_of.h"

namespace detente::valuation {
namespace {

using testing::HasSubstr;
using List = std::vector<double>;

std::vector<float> draw(Rng& rng, std::size_t count, float offset = 0.0F) {
  std::vector<float> result;
  for (std::size_t i = 0; i < count; ++i) {
    result.push_back(offset + static_cast<float>(rng.normal()));
  }
  return result;
}

// Row after row with its repeats, the intercept as a column of ones without a penalty, and a
// general solver.
List directly(const std::vector<float>& features,
              std::size_t width,
              const List& labels,
              const std::vector<std::size_t>& rows,
              double l2,
              const std::vector<float>& at) {
  const auto d = static_cast<Eigen::Index>(width);
  std::vector<std::size_t> labelled;
  for (const std::size_t row : rows) {
    if (!std::isnan(labels[row])) labelled.push_back(row);
  }
  const auto n = static_cast<Eigen::Index>(labelled.size());
  Eigen::MatrixXd x(n, d + 1);
  Eigen::VectorXd y(n);
  for (Eigen::Index i = 0; i < n; ++i) {
    const std::size_t row = labelled[static_cast<std::size_t>(i)];
    for (Eigen::Index c = 0; c < d; ++c) {
      x(i, c) = features[row * width + static_cast<std::size_t>(c)];
    }
    x(i, d) = 1.0;
    y(i) = labels[row];
  }
  const Eigen::MatrixXd inner = x.leftCols(d);
  const Eigen::MatrixXd centred = inner.rowwise() - inner.colwise().mean();
  Eigen::MatrixXd normal = x.transpose() * x;
  const double penalty = l2 * centred.squaredNorm() / static_cast<double>(d);
  for (Eigen::Index c = 0; c < d; ++c) normal(c, c) += penalty;
  const Eigen::VectorXd weights = normal.fullPivLu().solve(x.transpose() * y);
  List result;
  for (std::size_t i = 0; i < at.size() / width; ++i) {
    double sum = weights(d);
    for (std::size_t c = 0; c < width; ++c) {
      sum += weights(static_cast<Eigen::Index>(c)) * at[i * width + c];
    }
    result.push_back(sum);
  }
  return result;
}

std::vector<std::size_t> draw_rows(Rng& rng, std::size_t n, std::size_t count) {
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < count; ++i) rows.push_back(static_cast<std::size_t>(rng.below(n)));
  return rows;
}

// Fewer rows than features, more, and more than one block of them.
TEST(Ridge, AgreesWithADirectSolve) {
  Rng rng(1);
  for (const auto& [n, width] : {std::pair<std::size_t, std::size_t>{6, 10}, {40, 7}, {1300, 5}}) {
    const std::vector<float> features = draw(rng, n * width, 3.0F);
    const std::vector<float> at = draw(rng, 9 * width, 3.0F);
    List labels;
    List others;
    for (std::size_t i = 0; i < n; ++i) {
      labels.push_back(rng.normal());
      others.push_back(i % 3 == 0 ? kNan : rng.normal() + features[i * width]);
    }
    for (const double l2 : {1e-3, 0.5}) {
      Ridge ridge(features, width, {{labels}, {others}, {labels}}, l2);
      const auto rows = draw_rows(rng, n, n);
      ridge.fit(rows);
      const List got = ridge.predict(at);
      const List first = directly(features, width, labels, rows, l2, at);
      const List second = directly(features, width, others, rows, l2, at);
      ASSERT_EQ(got.size(), 27u);
      for (std::size_t i = 0; i < 9; ++i) {
        EXPECT_NEAR(got[3 * i], first[i], 1e-9 * (1 + std::abs(first[i])));
        EXPECT_NEAR(got[3 * i + 1], second[i], 1e-9 * (1 + std::abs(second[i])));
        EXPECT_NEAR(got[3 * i + 2], got[3 * i], 1e-13);
      }
    }
  }
}

TEST(Ridge, PredictsTheClassWithTheLargestColumn) {
  Rng rng(2);
  const std::vector<float> features = draw(rng, 60 * 4);
  List labels;
  for (std::size_t i = 0; i < 60; ++i) {
    labels.push_back(features[4 * i] > 0.3F ? 2 : features[4 * i + 1] > 0 ? 1 : 0);
  }
  Ridge ridge(features, 4, {{labels, 3}}, 0.1);
  std::vector<std::size_t> rows(60);
  std::iota(rows.begin(), rows.end(), std::size_t{0});
  ridge.fit(rows);
  const List predicted = ridge.predict(features);
  const List scores = ridge.score(rows);
  std::vector<List> columns;
  for (int c = 0; c < 3; ++c) {
    List target;
    for (const double label : labels) target.push_back(label == c ? 1 : -1);
    columns.push_back(directly(features, 4, target, rows, 0.1, features));
  }
  double right = 0.0;
  for (std::size_t i = 0; i < 60; ++i) {
    int best = 0;
    for (int c = 1; c < 3; ++c) {
      if (columns[static_cast<std::size_t>(c)][i] > columns[static_cast<std::size_t>(best)][i]) {
        best = c;
      }
    }
    EXPECT_EQ(predicted[i], best);
    EXPECT_EQ(scores[i], best == labels[i] ? 1.0 : 0.0);
    right += scores[i];
  }
  EXPECT_GT(right, 45);
}

TEST(Ridge, KnowsNothingWithoutLabelsAndTheMeanOfOneExample) {
  const std::vector<float> features{1, 2, 3, 4, 5, 6};
  const List numbers{5, 7, kNan};
  const List classes{1, kNan, 0};
  Ridge ridge(features, 2, {{numbers}, {classes, 2}});
  const std::vector<std::size_t> all{0, 1, 2};
  EXPECT_TRUE(std::isnan(ridge.predict(features)[1]));
  EXPECT_THAT(ridge.score(all),
              testing::ElementsAre(-25,
                                   0.5,
                                   -49,
                                   testing::NanSensitiveDoubleEq(kNan),
                                   testing::NanSensitiveDoubleEq(kNan),
                                   0.5));
  ridge.fit(std::vector<std::size_t>{1, 1});
  EXPECT_THAT(ridge.predict(features),
              testing::ElementsAre(7, testing::IsNan(), 7, testing::IsNan(), 7, testing::IsNan()));
  ridge.fit(std::vector<std::size_t>{0});
  EXPECT_THAT(ridge.predict(features), testing::ElementsAre(5, 1, 5, 1, 5, 1));
}

// What is cheaper than training: flipped labels come out lowest.
TEST(Ridge, FindsFlippedLabelsOutOfTheBag) {
  Rng rng(3);
  const std::size_t n = 200;
  std::vector<float> features = draw(rng, n * 6);
  List labels;
  for (std::size_t i = 0; i < n; ++i) {
    labels.push_back(static_cast<double>(rng.below(2)));
    features[6 * i] += labels[i] == 1 ? 3.0F : -3.0F;
    if (i < 20) labels[i] = 1 - labels[i];
  }
  Ridge ridge(features, 6, {{labels, 2}});
  const Estimate got = data_oob(n, 1, oob_of(ridge), {60, 1})[0];
  for (std::size_t i = 0; i < 20; ++i) EXPECT_LT(got.values[i], 0.3);
  const double mean = std::accumulate(got.values.begin() + 20, got.values.end(), 0.0) / 180;
  EXPECT_GT(mean, 0.95);
}

TEST(Ridge, IsTheFunctionOfAGame) {
  Rng rng(4);
  const std::vector<float> features = draw(rng, 6 * 2);
  const std::vector<float> judges = draw(rng, 5 * 2);
  const List labels{0, 1, 2, 3, 4, 5};
  const List targets{1, 2, kNan, 4, 5};
  Ridge ridge(features, 2, {{labels}});
  const Utility utility = utility_of(ridge, judges, {{targets}});
  const std::vector<std::size_t> members{1, 4, 5};
  const List predicted = directly(features, 2, labels, members, 1e-2, judges);
  double error = 0.0;
  for (std::size_t i = 0; i < 5; ++i) {
    if (!std::isnan(targets[i])) error += std::pow(targets[i] - predicted[i], 2) / 4;
  }
  EXPECT_NEAR(utility(members)[0], -error, 1e-9);
  EXPECT_NEAR(utility({})[0], -(1 + 4 + 16 + 25) / 4.0, 1e-12);
  const GameValues values = exact_values(6, utility);
  EXPECT_NEAR(
      std::accumulate(values.outputs[0].values.begin(), values.outputs[0].values.end(), 0.0),
      values.all[0] - values.none[0],
      1e-9);
}

TEST(Ridge, NamesWhatIsWrong) {
  std::vector<float> features{1, 2, 3, 4};
  const List labels{0, 1};
  const auto error = [&](std::size_t width, std::vector<RidgeTask> tasks, double l2) {
    return test::error_of([&] { Ridge(features, width, std::move(tasks), l2); });
  };
  EXPECT_EQ(error(3, {{labels}}, 1).code(), ErrorCode::kShape);
  EXPECT_EQ(error(1, {{labels}}, 1).code(), ErrorCode::kShape);
  EXPECT_EQ(error(2, {}, 1).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error(2, {{labels}}, 0).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error(2, {{labels, 1}}, 1).code(), ErrorCode::kInvalidArgument);
  const List half{0, 0.5};
  EXPECT_THAT(error(2, {{labels}, {half, 2}}, 1).what(), HasSubstr("row 1 of task 1 is 0.5"));
  const List infinite{std::numeric_limits<double>::infinity(), 1};
  EXPECT_EQ(error(2, {{infinite}}, 1).code(), ErrorCode::kNumeric);
  Ridge ridge(features, 2, {{labels}});
  EXPECT_EQ(test::error_of([&] { ridge.fit(std::vector<std::size_t>{2}); }).code(),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(test::error_of([&] { ridge.score(std::vector<std::size_t>{2}); }).code(),
            ErrorCode::kInvalidArgument);
  const List nobody{kNan, kNan};
  EXPECT_EQ(test::error_of([&] { utility_of(ridge, features, {{nobody}}); }).code(),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(test::error_of([&] { utility_of(ridge, features, {}); }).code(), ErrorCode::kShape);
  features[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(error(2, {{labels}}, 1).what(), HasSubstr("feature 1 of row 1 is nan"));
}

}  // namespace
}  // namespace detente::valuation
