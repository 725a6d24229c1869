// SPDX-License-Identifier: Apache-2.0
// Losses of maps: the mean over the pixels of the batch that have a target, as published code has it.
#include <detente/core/error.h>
#include <gmock/gmock.h>

#include <cmath>

#include "loss_support.h"
#include "tests/support/tolerances.h"

namespace detente::losses {
namespace {

using test::kRounding;

// Predictions [2, c, 3, 4] and targets of a loss, a part of the pixels without one; of the second
// example all but one.
struct MapCase {
  std::string loss;
  at::Tensor p;
  at::Tensor y;
};

MapCase map_case(const std::string& loss) {
  torch::manual_seed(4);
  const auto options = torch::dtype(torch::kDouble);
  MapCase made{loss, torch::randn({2, 1, 3, 4}, options), torch::rand({2, 3, 4}, options) + 0.5};
  if (loss == "cross_entropy") {
    made.p = torch::randn({2, 5, 3, 4}, options);
    made.y = torch::randint(0, 5, {2, 3, 4}, options);
  }
  if (loss == "cosine") {
    made.p = torch::randn({2, 3, 3, 4}, options);
    made.y = torch::randn({2, 3, 3, 4}, options);
    made.y = made.y / made.y.norm(2, 1, true);
  }
  auto hidden = torch::zeros({2, 3, 4}, torch::kBool);
  hidden[0][1][2] = true;
  hidden[0][2][0] = true;
  hidden[1].fill_(true);
  hidden[1][0][3] = false;
  if (loss == "cosine") hidden = hidden.unsqueeze(1).expand_as(made.y);
  made.y = made.y.masked_fill(hidden, kNanTarget);
  return made;
}

// The definition, pixel by pixel.
double by_hand(const MapCase& made) {
  double sum = 0;
  double pixels = 0;
  for (std::int64_t i = 0; i < 2; ++i) {
    for (std::int64_t y = 0; y < 3; ++y) {
      for (std::int64_t x = 0; x < 4; ++x) {
        const auto column = [&](const at::Tensor& map) {
          std::vector<double> values;
          for (std::int64_t c = 0; c < map.size(1); ++c)
            values.push_back(map[i][c][y][x].item<double>());
          return values;
        };
        const auto p = column(made.p);
        if (made.loss == "cosine") {
          const auto target = column(made.y);
          if (std::isnan(target[0])) continue;
          const double length = std::sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2]);
          sum += 1 - (p[0] * target[0] + p[1] * target[1] + p[2] * target[2]) / length;
        } else {
          const double target = made.y[i][y][x].item<double>();
          if (std::isnan(target)) continue;
          if (made.loss == "mae") {
            sum += std::abs(p[0] - target);
          } else {
            double total = 0;
            for (const double logit : p) total += std::exp(logit);
            sum += std::log(total) - p[static_cast<std::size_t>(target)];
          }
        }
        ++pixels;
      }
    }
  }
  EXPECT_EQ(pixels, 11);
  return sum / pixels;
}

class MapLoss : public testing::TestWithParam<std::string> {
 protected:
  MapCase made_ = map_case(GetParam());
  std::unique_ptr<Loss> loss_ = make_loss(GetParam());
};

TEST_P(MapLoss, IsTheMeanOverThePixelsOfTheBatchThatHaveATarget) {
  LossInfo info;
  EXPECT_NEAR((*loss_)(made_.p, made_.y, &info).item<double>(), by_hand(made_), 1e-11);
  EXPECT_EQ(info.rows, 11);
}

TEST_P(MapLoss, GradientMatchesFiniteDifferences) {
  expect_gradient_matches_differences(*loss_, made_.p, made_.y);
}

TEST_P(MapLoss, PartsOfTheBatchAddUpByTheirPixels) {
  double sum = 0;
  double pixels = 0;
  for (std::int64_t i = 0; i < 2; ++i) {
    LossInfo info;
    const double value =
        (*loss_)(made_.p.narrow(0, i, 1), made_.y.narrow(0, i, 1), &info).item<double>();
    sum += value * static_cast<double>(info.rows);
    pixels += static_cast<double>(info.rows);
  }
  EXPECT_NEAR((*loss_)(made_.p, made_.y).item<double>(), sum / pixels, kRounding);
}

TEST_P(MapLoss, BrokenPredictionsOfPixelsWithoutTargetDoNotMatter) {
  auto p = made_.p.clone();
  p.index_put_({0, torch::indexing::Slice(), 1, 2}, kNanTarget);
  EXPECT_EQ((*loss_)(p, made_.y).item<double>(), (*loss_)(made_.p, made_.y).item<double>());
  EXPECT_TRUE(torch::isfinite(loss_gradient(*loss_, p, made_.y)).all().item<bool>());
}

TEST_P(MapLoss, ABatchWithoutAnyTargetHasNoLoss) {
  EXPECT_FALSE((*loss_)(made_.p, torch::full_like(made_.y, kNanTarget)).defined());
}

TEST_P(MapLoss, RefusesMapsOfOtherPixels) {
  const auto code = [&](const at::Tensor& y) {
    try {
      (*loss_)(made_.p, y);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::kInternal;
  };
  EXPECT_EQ(code(made_.y.transpose(-1, -2)), ErrorCode::kShape);
  EXPECT_EQ(code(made_.y.narrow(0, 0, 1)), ErrorCode::kShape);
  EXPECT_EQ(code(made_.y.flatten()), ErrorCode::kShape);
}

INSTANTIATE_TEST_SUITE_P(Losses,
                         MapLoss,
                         testing::Values("cross_entropy", "mae", "cosine"),
                         [](const auto& info) { return info.param; });

TEST(Cosine, IsBlindToTheLengthOfPredictions) {
  const MapCase made = map_case("cosine");
  const auto loss = make_loss("cosine");
  EXPECT_NEAR(
      (*loss)(7 * made.p, made.y).item<double>(), (*loss)(made.p, made.y).item<double>(), 1e-10);
  const auto slope = loss_gradient(*loss, made.p, made.y);
  EXPECT_LT((slope * made.p).sum(1).abs().max().item<double>(), 1e-10);
}

TEST(Cosine, IsTwoForOppositesAndOneForNothing) {
  const auto loss = make_loss("cosine");
  const auto y = torch::tensor({{0.0, 0.6, 0.8}}, torch::kDouble);
  EXPECT_NEAR((*loss)(-3 * y, y).item<double>(), 2, 1e-10);
  EXPECT_NEAR((*loss)(torch::zeros_like(y), y).item<double>(), 1, 1e-10);
  EXPECT_TRUE(torch::isfinite(loss_gradient(*loss, torch::zeros_like(y), y)).all().item<bool>());
}

}  // namespace
}  // namespace detente::losses
