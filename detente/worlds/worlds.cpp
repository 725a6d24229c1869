// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/worlds/worlds.h>

#include <cmath>

namespace detente::worlds {
namespace {

std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace

void Step::resize(const Spec& spec) {
  const std::size_t tasks = spec.tasks.size();
  observations.assign(tasks * spec.observation, 0.0F);
  rewards.assign(tasks, 0.0F);
  for (auto* flags : {&success, &ended, &truncated, &lost}) flags->assign(tasks, 0);
}

std::uint32_t episode_seed(std::uint64_t seed, std::uint64_t task, std::uint64_t episode) {
  return static_cast<std::uint32_t>(mix(mix(mix(seed) ^ task) ^ episode) >> 33);
}

void check_actions(const Spec& spec, std::span<const float> actions, const char* where) {
  DETENTE_CHECK(actions.size() == spec.tasks.size() * spec.action,
                ErrorCode::kShape,
                "[{}] got {} numbers for actions; expected {} tasks x {}.",
                where,
                actions.size(),
                spec.tasks.size(),
                spec.action);
  for (std::size_t i = 0; i < actions.size(); ++i) {
    DETENTE_CHECK(std::isfinite(actions[i]),
                  ErrorCode::kNumeric,
                  "[{}] the action for '{}' is not finite; expected numbers in [-1, 1]. The policy "
                  "has diverged: lower its learning rate.",
                  where,
                  spec.tasks[i / spec.action]);
  }
}

std::vector<std::uint64_t> episodes_of(const Json& state, const char* kind, const Spec& spec) {
  const auto bad = [&](const char* what) {
    fail(ErrorCode::kData,
         "[worlds::load_state] the saved state {}. It was written by another version or for other "
         "tasks: begin anew.",
         what);
  };
  if (!state.is_object() || state.value("kind", Json()) != Json(kind)) bad("is of another kind");
  if (state.value("tasks", Json()) != Json(spec.tasks)) bad("names other tasks");
  const Json counts = state.value("episodes", Json());
  if (!counts.is_array() || counts.size() != spec.tasks.size()) bad("lacks a task's episodes");
  std::vector<std::uint64_t> episodes;
  for (const Json& count : counts) {
    if (!count.is_number_unsigned()) bad("counts episodes by something that is no whole number");
    episodes.push_back(count.get<std::uint64_t>());
  }
  return episodes;
}

Json state_of(const char* kind, const Spec& spec, std::span<const std::uint64_t> episodes) {
  return {{"kind", kind},
          {"tasks", spec.tasks},
          {"episodes", std::vector<std::uint64_t>(episodes.begin(), episodes.end())}};
}

}  // namespace detente::worlds
