// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/worlds/point_mass.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace detente::worlds {
namespace {

constexpr const char* kPointMassKind = "point-mass";
constexpr double kDrag = 0.8;
constexpr double kForce = 0.04;
constexpr double kWall = 1.5;
constexpr double kStart = 0.2;

}  // namespace

PointMass::PointMass(const PointMassOptions& options) : seed_(options.seed) {
  DETENTE_CHECK(options.tasks >= 1 && options.tasks <= 1000,
                ErrorCode::kInvalidArgument,
                "[worlds::PointMass] the number of goals must be 1 to 1000, got {}.",
                options.tasks);
  DETENTE_CHECK(options.horizon >= 1,
                ErrorCode::kInvalidArgument,
                "[worlds::PointMass] the horizon must be >= 1, got 0.");
  for (std::size_t k = 0; k < options.tasks; ++k) {
    const double angle =
        2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(options.tasks);
    goals_.push_back(std::cos(angle));
    goals_.push_back(std::sin(angle));
    spec_.tasks.push_back(fmt::format("goal-{}", k));
  }
  spec_.observation = 4 + options.tasks;
  spec_.action = 2;
  spec_.horizon = options.horizon;
  spec_.setting = fmt::format(
      "point-mass, {} goals on a circle, horizon {}, reward minus the distance, goal not observed "
      "but "
      "its number one-hot, success within {} of it at any step",
      options.tasks,
      options.horizon,
      kSuccessRadius);
  episodes_.assign(options.tasks, 0);
  observations_.assign(options.tasks * spec_.observation, 0.0F);
  step_.resize(spec_);
}

void PointMass::begin(std::size_t task) {
  Rng rng(episode_seed(seed_, task, episodes_[task]++));
  Point& point = points_[task];
  point = {};
  for (double& x : point.x) x = kStart * (2 * rng.uniform() - 1);
}

void PointMass::observe(std::size_t task, float* to) const {
  const Point& point = points_[task];
  std::fill(to, to + spec_.observation, 0.0F);
  for (int i = 0; i < 2; ++i) {
    to[i] = static_cast<float>(point.x[i]);
    to[2 + i] = static_cast<float>(point.v[i]);
  }
  to[4 + task] = 1.0F;
}

void PointMass::reset() {
  points_.resize(spec_.tasks.size());
  for (std::size_t k = 0; k < points_.size(); ++k) {
    begin(k);
    observe(k, &observations_[k * spec_.observation]);
  }
}

const Step& PointMass::step(std::span<const float> actions) {
  DETENTE_CHECK(!points_.empty(),
                ErrorCode::kInvalidArgument,
                "[worlds::PointMass] step() before reset(); call reset() first.");
  check_actions(spec_, actions, "worlds::PointMass");
  for (std::size_t k = 0; k < points_.size(); ++k) {
    Point& point = points_[k];
    double squares = 0;
    for (std::size_t i = 0; i < 2; ++i) {
      const double force = std::clamp(static_cast<double>(actions[2 * k + i]), -1.0, 1.0);
      point.v[i] = kDrag * point.v[i] + kForce * force;
      const double free = point.x[i] + point.v[i];
      point.x[i] = std::clamp(free, -kWall, kWall);
      if (point.x[i] != free) point.v[i] = 0;
      const double off = point.x[i] - goals_[2 * k + i];
      squares += off * off;
    }
    const double distance = std::sqrt(squares);
    ++point.steps;
    step_.rewards[k] = static_cast<float>(-distance);
    step_.success[k] = distance <= kSuccessRadius ? 1 : 0;
    step_.truncated[k] = point.steps >= spec_.horizon ? 1 : 0;
    observe(k, &step_.observations[k * spec_.observation]);
    if (step_.truncated[k] != 0) begin(k);
    observe(k, &observations_[k * spec_.observation]);
  }
  return step_;
}

std::vector<float> PointMass::expert_actions() const {
  std::vector<float> actions;
  for (std::size_t k = 0; k < points_.size(); ++k) {
    for (std::size_t i = 0; i < 2; ++i) {
      // Without force the point rolls v (0.8 + 0.64 + ...) = 4 v further.
      const Point& point = points_[k];
      const double rest = point.x[i] + kDrag / (1 - kDrag) * point.v[i];
      const double wanted = (goals_[2 * k + i] - rest) * (1 - kDrag) / kForce;
      actions.push_back(static_cast<float>(std::clamp(wanted, -1.0, 1.0)));
    }
  }
  return actions;
}

Json PointMass::state() const {
  Json state = state_of(kPointMassKind, spec_, episodes_);
  Json points = Json::array();
  for (const Point& point : points_) {
    points.push_back({point.x[0], point.x[1], point.v[0], point.v[1], point.steps});
  }
  state["points"] = points;
  return state;
}

void PointMass::load_state(const Json& state) {
  const auto episodes = episodes_of(state, kPointMassKind, spec_);
  const auto bad = [] {
    fail(ErrorCode::kData,
         "[worlds::load_state] the saved points of the point mass are damaged. Begin anew.");
  };
  const Json rows = state.value("points", Json());
  if (!rows.is_array() || (!rows.empty() && rows.size() != spec_.tasks.size())) bad();
  std::vector<Point> points;
  for (const Json& row : rows) {
    if (!row.is_array() || row.size() != 5 || !row[4].is_number_unsigned()) bad();
    for (std::size_t i = 0; i < 4; ++i) {
      if (!row[i].is_number()) bad();
    }
    points.push_back({.x = {row[0].get<double>(), row[1].get<double>()},
                      .v = {row[2].get<double>(), row[3].get<double>()},
                      .steps = row[4].get<std::uint64_t>()});
  }
  episodes_ = episodes;
  points_ = points;
  for (std::size_t k = 0; k < points_.size(); ++k) {
    observe(k, &observations_[k * spec_.observation]);
  }
}

}  // namespace detente::worlds
