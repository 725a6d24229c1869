// SPDX-License-Identifier: Apache-2.0
#include <detente/toy/adam.h>

#include <cmath>

namespace detente::toy {
namespace {

constexpr double kBeta1 = 0.9;
constexpr double kBeta2 = 0.999;
constexpr double kEps = 1e-8;

}  // namespace

void Adam::step(Vec2& x, Vec2 gradient) {
  power1_ *= kBeta1;
  power2_ *= kBeta2;
  const double correction1 = 1.0 / (1.0 - power1_);
  const double correction2 = 1.0 / (1.0 - power2_);
  const auto update = [&](double& at, double& mean, double& square, double g) {
    mean = kBeta1 * mean + (1.0 - kBeta1) * g;
    square = kBeta2 * square + (1.0 - kBeta2) * g * g;
    at -= lr_ * (mean * correction1) / (std::sqrt(square * correction2) + kEps);
  };
  update(x.x1, mean_.x1, square_.x1, gradient.x1);
  update(x.x2, mean_.x2, square_.x2, gradient.x2);
}

}  // namespace detente::toy
