// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/whole_number.h>
#include <detente/worlds/internal/hello.h>
#include <detente/worlds/open.h>
#include <detente/worlds/point_mass.h>

#include <chrono>
#include <string_view>

namespace detente::worlds {
namespace {

constexpr std::string_view kPointMass = "point-mass";

}  // namespace

bool is_native(std::string_view environment) {
  return environment.starts_with(kPointMass) &&
         (environment.size() == kPointMass.size() || environment[kPointMass.size()] == ':');
}

std::unique_ptr<Worlds> open_worlds(const WorkerOptions& options) {
  const std::string_view name = options.environment;
  if (!is_native(name)) return std::make_unique<WorkerWorlds>(options);
  internal::checked_workers(options);
  PointMassOptions points{.seed = static_cast<std::uint64_t>(options.seed)};
  if (options.horizon > 0) points.horizon = static_cast<std::size_t>(options.horizon);
  if (name.size() > kPointMass.size()) {
    const auto goals = whole_number<std::size_t>(name.substr(kPointMass.size() + 1));
    DETENTE_CHECK(goals,
                  ErrorCode::kInvalidArgument,
                  "[worlds::open_worlds] '{}' names no number of goals; expected point-mass:4.",
                  name);
    points.tasks = *goals;
  }
  return std::make_unique<PointMass>(points);
}

Json probe_metaworld(const std::string& python, double limit) {
  WorkerOptions options;
  options.environment = "probe:";
  options.python = python;
  options.start_limit = limit;
  Worker worker({.python = python_of(options),
                 .script = options.script,
                 .task = internal::task_of_worker(options, 0, 1)});
  Worker* const asked = &worker;
  await({&asked, 1},
        std::chrono::steady_clock::now() +
            std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                std::chrono::duration<double>(limit)));
  return internal::hello_of(worker, options);
}

}  // namespace detente::worlds
