// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/machine/process.h>
#include <detente/worlds/internal/hello.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <set>

namespace detente::worlds {

void WorkerOptions::describe(FieldVisitor& v) {
  v.text("environment",
         environment,
         "metaworld:MT10 (MT25, MT50, or names separated by commas), gymnasium:ID,ID, "
         "MODULE:FUNCTION, "
         "or an entry point of the group detente.worlds");
  v.integer("workers",
            workers,
            {.min = 0, .max = 1024},
            "Python processes that serve the tasks; 0: one for each usable core, at most one for "
            "each task");
  v.integer("seed", seed, {.min = 0}, "Of the episodes");
  v.integer("horizon",
            horizon,
            {.min = 0, .max = 1e9},
            "Steps after which an episode is cut; 0: the environment's own");
  v.choice_text("goals",
                goals,
                {"random", "kept"},
                "metaworld: one of 50 goals drawn for each episode, or one kept for all");
  v.choice_text("reward", reward, {"v2", "v1"}, "metaworld: version of the reward");
  v.flag("goal_hidden", goal_hidden, "metaworld: zeros where the goal would be observed");
  v.flag("end_at_success",
         end_at_success,
         "An episode ends with its first success, as in evaluations; not for learning");
  v.text("python", python, "The Python to run; empty: $DETENTE_PYTHON, else python3");
  v.file("path", path, "A folder in which Python's modules are looked for first");
  v.number("start_limit",
           start_limit,
           {.min = 0, .min_open = true},
           "Seconds a worker may take to begin");
  v.number("step_limit", step_limit, {.min = 0, .min_open = true}, "Seconds a step may take");
  v.integer("most_losses", most_losses, {.min = 0}, "Lost episodes after which it is given up");
}

std::string python_of(const WorkerOptions& options) {
  if (!options.python.empty()) return options.python;
  const char* named = std::getenv("DETENTE_PYTHON");
  return named != nullptr && *named != '\0' ? named : "python3";
}

}  // namespace detente::worlds

namespace detente::worlds::internal {
namespace {

constexpr std::size_t kMostTasks = 10000;
constexpr std::size_t kMostNumbers = 1000000;

[[noreturn]] void bad_hello(const std::string& what) {
  fail(ErrorCode::kUnsupported,
       "[worlds::WorkerWorlds] a worker's hello {}; expected that of worker.py, protocol {}.",
       what,
       kProtocol);
}

std::size_t hello_number(const Json& object, const char* key, std::size_t most) {
  const Json value = object.is_object() ? object.value(key, Json()) : Json();
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > most) {
    bad_hello(fmt::format("has no number '{}' of at most {}", key, most));
  }
  return value.get<std::size_t>();
}

std::string hello_text(const Json& object, const char* key) {
  const Json value = object.is_object() ? object.value(key, Json()) : Json();
  if (!value.is_string() || value.get<std::string>().empty()) {
    bad_hello(fmt::format("has no text '{}'", key));
  }
  return value.get<std::string>();
}

const Json& hello_tasks(const Json& hello) {
  if (!hello.contains("tasks") || !hello["tasks"].is_array()) bad_hello("names no tasks");
  return hello["tasks"];
}

std::vector<std::size_t> task_numbers(const Json& hello) {
  std::vector<std::size_t> numbers;
  for (const Json& task : hello_tasks(hello)) {
    numbers.push_back(hello_number(task, "index", kMostTasks));
  }
  return numbers;
}

}  // namespace

std::size_t checked_workers(const WorkerOptions& options) {
  WorkerOptions checked = options;
  validate_fields([&checked](FieldVisitor& visitor) { checked.describe(visitor); },
                  "worlds::WorkerWorlds");
  DETENTE_CHECK(!options.environment.empty(),
                ErrorCode::kInvalidArgument,
                "[worlds::WorkerWorlds] no environment is named; expected metaworld:MT10, "
                "gymnasium:ID or MODULE:FUNCTION.");
  if (options.workers > 0) return static_cast<std::size_t>(options.workers);
  return static_cast<std::size_t>(std::max(1, machine::usable_cores()));
}

Json task_of_worker(const WorkerOptions& options, std::size_t part, std::size_t parts) {
  return {{"protocol", kProtocol},
          {"environment", options.environment},
          {"part", part},
          {"parts", parts},
          {"seed", options.seed},
          {"horizon", options.horizon},
          {"goals", options.goals},
          {"reward", options.reward},
          {"goal_hidden", options.goal_hidden},
          {"end_at_success", options.end_at_success},
          {"path", options.path}};
}

Json hello_of(const Worker& worker, const WorkerOptions& options) {
  const std::string words = worker.last_words();
  const std::string said = words.empty() ? "" : " Its last words:\n" + words;
  switch (worker.outcome()) {
    case Worker::Outcome::kPending:
      fail(ErrorCode::kPeerLost,
           "[worlds::WorkerWorlds] a worker has not begun within {} s; give it more (start_limit), "
           "or start "
           "fewer at once.{}",
           options.start_limit,
           said);
    case Worker::Outcome::kEnded:
      fail(ErrorCode::kPeerLost,
           "[worlds::WorkerWorlds] a worker {} before it had begun; expected '{}' to be Python 3.9 "
           "or "
           "later, and memory for {} worker(s).{}",
           worker.ending(),
           python_of(options),
           checked_workers(options),
           said);
    case Worker::Outcome::kForeign:
      bad_hello("is none" + said);
    case Worker::Outcome::kAnswer:
      break;
  }
  DETENTE_CHECK(worker.kind() == 'H',
                ErrorCode::kUnsupported,
                "[worlds::WorkerWorlds] '{}' cannot be made: {}",
                options.environment,
                worker.text());
  const Json hello = Json::parse(worker.text(), nullptr, false);
  if (!hello.is_object() || hello.value("magic", Json()) != Json("detente-worlds")) {
    bad_hello("is of something else");
  }
  if (hello.value("protocol", Json()) != Json(kProtocol)) bad_hello("is of another protocol");
  return hello;
}

Spec spec_of(const std::vector<Json>& hellos, std::vector<std::vector<std::size_t>>& tasks) {
  Spec spec;
  const std::size_t total = hello_number(hellos.front(), "total", kMostTasks);
  if (total == 0) bad_hello("names no tasks");
  spec.tasks.resize(total);
  for (const Json& hello : hellos) {
    tasks.push_back(task_numbers(hello));
    for (const Json& task : hello_tasks(hello)) {
      const std::size_t k = hello_number(task, "index", kMostTasks);
      if (hello_number(hello, "total", kMostTasks) != total || k >= total ||
          !spec.tasks[k].empty()) {
        bad_hello("does not fit another's: they disagree on the tasks");
      }
      spec.tasks[k] = hello_text(task, "name");
      spec.observation =
          std::max(spec.observation, hello_number(task, "observation", kMostNumbers));
      spec.action = std::max(spec.action, hello_number(task, "action", kMostNumbers));
    }
    const std::size_t horizon = hello_number(hello, "horizon", 1000000000);
    const std::string setting = hello_text(hello, "setting");
    if (spec.horizon != 0 && (horizon != spec.horizon || setting != spec.setting)) {
      bad_hello("does not fit another's: they disagree on the setting");
    }
    spec.horizon = horizon;
    spec.setting = setting;
  }
  const std::set<std::string> names(spec.tasks.begin(), spec.tasks.end());
  if (names.size() != total || names.contains(""))
    bad_hello("leaves a task out or has a name twice");
  if (spec.observation == 0 || spec.action == 0 || spec.horizon == 0) {
    bad_hello("has no observation, no action or no horizon");
  }
  return spec;
}

void check_same(const Json& hello, const Spec& spec, const std::vector<std::size_t>& tasks) {
  bool same = task_numbers(hello) == tasks && hello_text(hello, "setting") == spec.setting;
  for (const Json& task : hello_tasks(hello)) {
    same = same &&
           hello_text(task, "name") ==
               spec.tasks.at(hello_number(task, "index", spec.tasks.size() - 1)) &&
           hello_number(task, "observation", kMostNumbers) <= spec.observation &&
           hello_number(task, "action", kMostNumbers) <= spec.action;
  }
  if (!same) bad_hello("is not what the one before it said");
}

std::string short_list(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 3;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    text += (i == 0 ? "'" : ", '") + names[i] + "'";
  }
  return names.size() > kShown ? text + fmt::format(" and {} more", names.size() - kShown) : text;
}

}  // namespace detente::worlds::internal
