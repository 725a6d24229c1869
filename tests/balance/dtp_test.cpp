// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/dtp.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/methods.h"
#include "tests/support/tolerances.h"

namespace detente::balance {
namespace {

using namespace detente::test;

double focal(double kpi, double gamma) { return -std::pow(1 - kpi, gamma) * std::log(kpi); }

TEST(Dtp, IsTheFocalLossOfTheAveragedIndicator) {
  const auto method = make_with("dtp", {{"gamma", "2"}, {"alpha", "0.3"}, {"units", "[1, 5]"}});
  double a = 0, b = 0;
  for (int step = 0; step < 30; ++step) {
    const std::vector<double> losses = {1.5 + std::sin(step), 4 + 3 * std::cos(step)};
    const double now_a = std::exp(-losses[0]);
    const double now_b = std::exp(-losses[1] / 5);
    a = step == 0 ? now_a : 0.3 * now_a + 0.7 * a;
    b = step == 0 ? now_b : 0.3 * now_b + 0.7 * b;
    const auto w = weigh_losses(*method, losses);
    EXPECT_NEAR(w[0], focal(a, 2), kRounding) << step;
    EXPECT_NEAR(w[1], focal(b, 2), kRounding) << step;
  }
}

TEST(Dtp, PutsTheHarderTaskFirst) {
  const auto w = weigh_losses(*make_with("dtp"), {0.1, 0.5, 2.0});
  EXPECT_LT(w[0], w[1]);
  EXPECT_LT(w[1], w[2]);
}

TEST(Dtp, IsTheGradientOfSquaresWithoutFocusAndMemory) {
  const auto method = make_with("dtp", {{"gamma", "0"}, {"alpha", "1"}, {"units", "2"}});
  for (const double loss : {1e-9, 1e-3, 0.4, 7.0}) {
    EXPECT_NEAR(weigh_losses(*method, {loss})[0], loss / 2, kAccumulated * loss);
  }
}

TEST(Dtp, LeavesASolvedTaskWithoutWeightAndBoundsAHopelessOne) {
  const auto w = weigh_losses(*make_with("dtp"), {0.0, 1e6});
  EXPECT_EQ(w[0], 0.0);
  EXPECT_GT(w[1], 36.0);
  EXPECT_LT(w[1], 37.0);
}

TEST(Dtp, RefusesNegativeLossesAndListsOfTheWrongSize) {
  expect_losses_refused("dtp", {1, -1}, ErrorCode::kNumeric, "task 1");
  EXPECT_THROW(weigh_losses(*make_with("dtp", {{"units", "[1, 2]"}}), {1, 2, 3}), Error);
  EXPECT_THROW(make_with("dtp", {{"units", "[0, 2]"}}), Error);
}

TEST(Dtp, RefusesADamagedState) {
  const auto method = make_with("dtp");
  weigh_losses(*method, {1, 2});
  Json state = method->state();
  state["seen"] = Json::array({1});
  EXPECT_THROW(method->load_state(state), Error);
}

}  // namespace
}  // namespace detente::balance
