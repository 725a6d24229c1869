// SPDX-License-Identifier: Apache-2.0
// A point that is pushed about a plane, with K goals on a circle: the smallest problem on which one
// policy has to do a different thing for each task. For tests and first tries: no Python,
// microseconds a step.
//
//   v' = 0.8 v + 0.04 clip(a, -1, 1),  x' = clip(x + v', -1.5, 1.5)
//   v' = 0 in a direction in which x' is clipped
//   task k: goal g_k = (cos 2 pi k / K, sin 2 pi k / K), reward -|x' - g_k|
//   success where |x' - g_k| <= 0.1
//   first x uniform in [-0.2, 0.2]^2, first v = 0
//   observation, 4 + K numbers: x, v, and 1 at the task's place. The goal itself is not observed.
//
// Episodes are cut after 50 steps and never end earlier. Cost: one pass over K tasks, nothing
// allocated after reset().
#pragma once

#include <detente/worlds/worlds.h>

namespace detente::worlds {

struct PointMassOptions {
  std::size_t tasks = 4;  // 1 to 1000
  std::size_t horizon = 50;
  std::uint64_t seed = 1;
};

class PointMass final : public Worlds {
 public:
  static constexpr double kSuccessRadius = 0.1;

  // Throws kInvalidArgument.
  explicit PointMass(const PointMassOptions& options);

  const Spec& spec() const override { return spec_; }
  void reset() override;
  std::span<const float> observations() const override { return observations_; }
  const Step& step(std::span<const float> actions) override;

  // All of it: load_state() goes on to the bit, in the middle of episodes.
  Json state() const override;
  void load_state(const Json& state) override;
  bool exact_state() const override { return true; }

  // K x A: full force towards the goal less what the speed will do by itself. Succeeds in every
  // episode.
  std::vector<float> expert_actions() const;

 private:
  struct Point {
    double x[2] = {0, 0};
    double v[2] = {0, 0};
    std::uint64_t steps = 0;
  };

  void begin(std::size_t task);
  void observe(std::size_t task, float* to) const;

  Spec spec_;
  std::uint64_t seed_;
  std::vector<double> goals_;            // K x 2
  std::vector<Point> points_;            // empty before reset()
  std::vector<std::uint64_t> episodes_;  // the numbers of those that come next
  std::vector<float> observations_;
  Step step_;
};

}  // namespace detente::worlds
