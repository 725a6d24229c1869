// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/core/rng.h>
#include <detente/valuation/lava.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <vector>

#include "tests/support/error_of.h"

namespace detente::valuation {
namespace {

using testing::HasSubstr;
using List = std::vector<double>;
using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

struct Transport {
  std::size_t width;
  std::vector<float> train;
  std::vector<float> validation;
  List labels;
  List validation_labels;

  std::size_t n() const { return train.size() / width; }
  std::size_t m() const { return validation.size() / width; }
  LavaTask task() const { return {labels, validation_labels}; }
};

Transport drawn(Rng& rng, std::size_t n, std::size_t m, std::size_t width, std::uint64_t classes) {
  Transport p{width, {}, {}, {}, {}};
  const auto add = [&](std::size_t count, std::vector<float>& features, List& labels) {
    for (std::size_t i = 0; i < count; ++i) {
      labels.push_back(static_cast<double>(i < classes ? i : rng.below(classes)));
      for (std::size_t c = 0; c < width; ++c) {
        features.push_back(static_cast<float>(rng.normal() + labels.back() * (c == 0 ? 1 : 0)));
      }
    }
  };
  add(n, p.train, p.labels);
  add(m, p.validation, p.validation_labels);
  return p;
}

// The costs again, in double.
MatrixXd costs_of(const Transport& p, double label_weight) {
  using Moments = std::pair<VectorXd, VectorXd>;
  const auto d = static_cast<Index>(p.width);
  const auto row = [&](const std::vector<float>& features, std::size_t i) {
    VectorXd result(d);
    for (Index c = 0; c < d; ++c) result(c) = features[i * p.width + static_cast<std::size_t>(c)];
    return result;
  };
  const auto moments = [&](const std::vector<float>& features, const List& labels, double label) {
    VectorXd sum = VectorXd::Zero(d);
    VectorXd squares = VectorXd::Zero(d);
    const auto count = static_cast<double>(std::count(labels.begin(), labels.end(), label));
    for (std::size_t i = 0; i < labels.size(); ++i) {
      if (labels[i] != label) continue;
      sum += row(features, i) / count;
      squares += row(features, i).cwiseAbs2() / count;
    }
    return Moments{sum, (squares - sum.cwiseAbs2()).cwiseMax(0).cwiseSqrt()};
  };
  MatrixXd costs(p.n(), p.m());
  for (std::size_t i = 0; i < p.n(); ++i) {
    const Moments from = moments(p.train, p.labels, p.labels[i]);
    for (std::size_t j = 0; j < p.m(); ++j) {
      const Moments to = moments(p.validation, p.validation_labels, p.validation_labels[j]);
      costs(static_cast<Index>(i), static_cast<Index>(j)) =
          (row(p.train, i) - row(p.validation, j)).squaredNorm() +
          label_weight *
              ((from.first - to.first).squaredNorm() + (from.second - to.second).squaredNorm());
    }
  }
  return costs;
}

// The exact minimum of a tiny transport problem: of all choices of n + m − 1 entries that determine
// a plan, the cheapest without a negative one.
double cheapest(const MatrixXd& costs, const VectorXd& a, const VectorXd& b) {
  const Index n = costs.rows();
  const Index m = costs.cols();
  double best = std::numeric_limits<double>::infinity();
  for (unsigned set = 0; set < 1U << (n * m); ++set) {
    if (std::popcount(set) != n + m - 1) continue;
    MatrixXd system = MatrixXd::Zero(n + m, n + m - 1);
    std::vector<double> prices;
    for (Index e = 0; e < n * m; ++e) {
      if ((set >> e & 1U) == 0) continue;
      const auto column = static_cast<Index>(prices.size());
      system(e / m, column) = 1;
      system(n + e % m, column) = 1;
      prices.push_back(costs(e / m, e % m));
    }
    VectorXd sums(n + m);
    sums << a, b;
    const Eigen::FullPivLU<MatrixXd> lu(system);
    if (lu.rank() < n + m - 1) continue;
    const VectorXd plan = lu.solve(sums);
    if (plan.minCoeff() < -1e-12) continue;
    double cost = 0.0;
    for (Index e = 0; e < plan.size(); ++e) cost += plan(e) * prices[static_cast<std::size_t>(e)];
    best = std::min(best, cost);
  }
  return best;
}

// The entropic minimum by plain scaling.
double entropic(const MatrixXd& costs, const VectorXd& a, const VectorXd& b, double epsilon) {
  const MatrixXd kernel = (-costs / epsilon).array().exp();
  VectorXd u = VectorXd::Ones(a.size());
  VectorXd v = VectorXd::Ones(b.size());
  for (int i = 0; i < 3000; ++i) {
    v = (kernel.transpose() * a.cwiseProduct(u)).cwiseInverse();
    u = (kernel * b.cwiseProduct(v)).cwiseInverse();
  }
  return epsilon * (a.dot(u.array().log().matrix()) + b.dot(v.array().log().matrix()));
}

// As weight moves to i from all others alike.
List derivative(std::size_t n, std::size_t m, const std::function<double(VectorXd, VectorXd)>& of) {
  const auto rows = static_cast<Index>(n);
  const VectorXd b = VectorXd::Constant(static_cast<Index>(m), 1.0 / static_cast<double>(m));
  List result;
  for (Index i = 0; i < rows; ++i) {
    double ends[2];
    const double step = 1e-4;
    for (const int sign : {0, 1}) {
      const double move = sign == 1 ? step : -step;
      VectorXd a = VectorXd::Constant(
          rows, 1.0 / static_cast<double>(n) - move / static_cast<double>(n - 1));
      a(i) = 1.0 / static_cast<double>(n) + move;
      ends[sign] = of(a, b);
    }
    result.push_back((ends[1] - ends[0]) / (2 * step));
  }
  return result;
}

// 4 to 3, whose partial sums never meet: the exact dual is unique.
TEST(Lava, IsTheDerivativeOfExactTransportForSmallEpsilon) {
  Rng rng(1);
  for (int round = 0; round < 3; ++round) {
    const Transport p = drawn(rng, 4, 3, 2, 2);
    const MatrixXd costs = costs_of(p, 0.7);
    LavaOptions options;
    options.label_weight = 0.7;
    options.epsilon = 5e-4;
    options.max_iterations = 200000;
    const LavaValues got = lava(p.train, p.validation, 2, p.task(), options);
    EXPECT_TRUE(got.converged) << got.marginal_error;
    EXPECT_NEAR(got.mean_cost, costs.mean(), 1e-5);
    const auto exact = [&](const VectorXd& a, const VectorXd& b) { return cheapest(costs, a, b); };
    const List expected = derivative(4, 3, exact);
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_NEAR(got.estimate.values[i], -expected[i], 3e-3 * costs.mean());
    }
    EXPECT_NEAR(got.transport_cost,
                exact(VectorXd::Constant(4, 0.25), VectorXd::Constant(3, 1.0 / 3)),
                3e-3 * costs.mean());
  }
}

TEST(Lava, IsTheDerivativeOfTheEntropicProblem) {
  Rng rng(2);
  for (const double weight : {0.0, 1.0, 5.0}) {
    const Transport p = drawn(rng, 9, 6, 3, 3);
    const MatrixXd costs = costs_of(p, weight);
    LavaOptions options;
    options.label_weight = weight;
    options.epsilon = 0.2;
    options.tolerance = 1e-9;
    const LavaValues got = lava(p.train, p.validation, 3, p.task(), options);
    EXPECT_TRUE(got.converged);
    const List expected = derivative(9, 6, [&](const VectorXd& a, const VectorXd& b) {
      return entropic(costs, a, b, 0.2 * costs.mean());
    });
    for (std::size_t i = 0; i < 9; ++i) {
      EXPECT_NEAR(got.estimate.values[i], -expected[i], 1e-5 * costs.mean());
    }
    const List& values = got.estimate.values;
    EXPECT_NEAR(std::accumulate(values.begin(), values.end(), 0.0), 0, 1e-9);
    EXPECT_EQ(got.estimate.counts, std::vector<std::int64_t>(9, 6));
  }
}

// Over the tiles of the distances and the stretches of the iterations.
TEST(Lava, DoesNotDependOnThreads) {
  Rng rng(3);
  const Transport p = drawn(rng, 600, 130, 4, 3);
  LavaOptions options;
  options.max_iterations = 20;
  options.threads = 1;
  const LavaValues one = lava(p.train, p.validation, 4, p.task(), options);
  options.threads = 3;
  const LavaValues three = lava(p.train, p.validation, 4, p.task(), options);
  EXPECT_EQ(one.estimate.values, three.estimate.values);
  EXPECT_EQ(one.transport_cost, three.transport_cost);
  EXPECT_EQ(one.mean_cost, three.mean_cost);
  const MatrixXd costs = costs_of(p, 1);
  EXPECT_NEAR(one.mean_cost, costs.mean(), 1e-5 * costs.mean());
}

TEST(Lava, FarExamplesAndWrongLabelsAreWorthLess) {
  Rng rng(4);
  Transport p = drawn(rng, 60, 60, 2, 2);
  for (std::size_t i = 0; i < 60; ++i) {
    p.train[2 * i] += p.labels[i] == 1 ? 6.0F : 0.0F;
    p.validation[2 * i] += p.validation_labels[i] == 1 ? 6.0F : 0.0F;
  }
  p.train[2 * 5 + 1] += 10;
  for (std::size_t i = 50; i < 60; ++i) p.labels[i] = 1 - p.labels[i];
  const List values = lava(p.train, p.validation, 2, p.task()).estimate.values;
  EXPECT_EQ(std::min_element(values.begin(), values.end()) - values.begin(), 5);
  double good = 0;
  double flipped = 0;
  for (std::size_t i = 6; i < 60; ++i) (i < 50 ? good : flipped) += values[i] / (i < 50 ? 44 : 10);
  EXPECT_LT(flipped, good - 1);
}

TEST(Lava, TakesRowsWithLabelsAndFeaturesAlone) {
  Rng rng(5);
  Transport p = drawn(rng, 12, 7, 2, 2);
  Transport fewer = p;
  p.train.insert(p.train.begin() + 2, {100.0F, 100.0F});
  p.labels.insert(p.labels.begin() + 1, kNan);
  p.validation.insert(p.validation.end(), {50.0F, 50.0F});
  p.validation_labels.push_back(kNan);
  const Estimate got = lava(p.train, p.validation, 2, p.task()).estimate;
  const Estimate expected = lava(fewer.train, fewer.validation, 2, fewer.task()).estimate;
  EXPECT_TRUE(std::isnan(got.values[1]));
  EXPECT_EQ(got.counts[1], 0);
  EXPECT_EQ(got.counts[0], 7);
  EXPECT_EQ(got.values[0], expected.values[0]);
  EXPECT_EQ(got.values[2], expected.values[1]);
  LavaOptions options;
  options.label_weight = 0;
  EXPECT_EQ(lava(fewer.train, fewer.validation, 2, fewer.task(), options).estimate.values,
            lava(fewer.train, fewer.validation, 2, {}).estimate.values);
  // Numbers cost their squared difference, as one more feature does.
  Transport wider{3, {}, {}, {}, {}};
  const auto widen =
      [](const std::vector<float>& from, const List& labels, std::vector<float>& to) {
        for (std::size_t i = 0; i < labels.size(); ++i) {
          to.insert(to.end(), {from[2 * i], from[2 * i + 1], static_cast<float>(labels[i])});
        }
      };
  widen(fewer.train, fewer.labels, wider.train);
  widen(fewer.validation, fewer.validation_labels, wider.validation);
  LavaTask numbers = fewer.task();
  numbers.classes = false;
  const List a = lava(fewer.train, fewer.validation, 2, numbers).estimate.values;
  const List b = lava(wider.train, wider.validation, 3, {}).estimate.values;
  for (std::size_t i = 0; i < 12; ++i) EXPECT_NEAR(a[i], b[i], 1e-5);
}

TEST(Lava, ReportsWhereItStopped) {
  Rng rng(6);
  const Transport p = drawn(rng, 30, 20, 2, 2);
  LavaOptions options;
  options.max_iterations = 2;
  const LavaValues cut = lava(p.train, p.validation, 2, p.task(), options);
  EXPECT_FALSE(cut.converged);
  EXPECT_EQ(cut.iterations, 2);
  EXPECT_GT(cut.marginal_error, 1e-6);
  options.max_iterations = 5000;
  options.progress = [](std::size_t done, std::size_t total) { return done < 3 && total == 5000; };
  EXPECT_EQ(lava(p.train, p.validation, 2, p.task(), options).iterations, 3);
  const std::vector<float> same(6, 2.0F);
  const LavaValues nothing = lava(same, same, 2, {});
  EXPECT_TRUE(nothing.converged);
  EXPECT_EQ(nothing.estimate.values, List(3, 0.0));
  EXPECT_EQ(lava({same.data(), 2}, same, 2, {}).estimate.values, List(1, 0.0));
}

TEST(Lava, NamesWhatIsWrong) {
  Rng rng(7);
  const Transport good = drawn(rng, 100, 50, 2, 2);
  const auto error = [](const Transport& p, const LavaOptions& options) {
    return test::error_of([&] { lava(p.train, p.validation, p.width, p.task(), options); });
  };
  LavaOptions options;
  options.memory = 100 * 4 * 40;
  EXPECT_EQ(error(good, options).code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(error(good, options).what(), HasSubstr("at most 40 validation rows"));
  options = {};
  options.epsilon = 0;
  EXPECT_EQ(error(good, options).code(), ErrorCode::kInvalidArgument);
  options = {};
  options.label_weight = -1;
  EXPECT_EQ(error(good, options).code(), ErrorCode::kInvalidArgument);
  options = {};
  options.max_iterations = 0;
  EXPECT_EQ(error(good, options).code(), ErrorCode::kInvalidArgument);
  Transport p = good;
  p.train[7] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(error(p, {}).code(), ErrorCode::kNumeric);
  EXPECT_THAT(error(p, {}).what(), HasSubstr("training row 3 is nan"));
  p.labels[0] = kNan;
  EXPECT_THAT(error(p, {}).what(), HasSubstr("training row 3 is nan"));
  p = good;
  p.validation_labels[2] = std::numeric_limits<double>::infinity();
  EXPECT_THAT(error(p, {}).what(), HasSubstr("validation row 2 is inf"));
  p = good;
  p.labels.pop_back();
  EXPECT_EQ(error(p, {}).code(), ErrorCode::kShape);
  p = good;
  p.labels.clear();
  EXPECT_EQ(error(p, {}).code(), ErrorCode::kShape);
  p = good;
  std::fill(p.labels.begin(), p.labels.end(), kNan);
  EXPECT_EQ(error(p, {}).code(), ErrorCode::kShape);
  p = good;
  p.width = 0;
  EXPECT_EQ(error(p, {}).code(), ErrorCode::kShape);
}

}  // namespace
}  // namespace detente::valuation
