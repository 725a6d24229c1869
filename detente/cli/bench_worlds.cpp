// SPDX-License-Identifier: Apache-2.0
// detente bench worlds: how fast environments step, in their workers alone and through the bridge;
// how often their own experts succeed.
#include <detente/cli/bench.h>
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <detente/core/rng.h>
#include <detente/core/stopwatch.h>
#include <detente/machine/process.h>
#include <detente/report/table.h>
#include <detente/text/printable.h>
#include <detente/worlds/open.h>
#include <detente/worlds/worker_worlds.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace detente::cli {
namespace {

using worlds::Step;
using worlds::WorkerWorlds;

struct BenchWorldsFlags {
  worlds::WorkerOptions options;
  std::uint32_t steps = 100;
  int rounds = 3;
  int experts = 0;
  bool json = false;
};

struct WorldsRound {
  double own = 0;  // steps of single environments in a second
  double bridge = 0;

  double ratio() const { return bridge / own; }
};

double middle(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double bridge_seconds(WorkerWorlds& worlds, std::uint32_t steps, Rng& rng) {
  std::vector<float> actions(worlds.spec().tasks.size() * worlds.spec().action);
  worlds.reset();
  const Stopwatch watch;
  for (std::uint32_t i = 0; i < steps; ++i) {
    for (float& action : actions) action = static_cast<float>(2 * rng.uniform() - 1);
    worlds.step(actions);
  }
  return watch.seconds();
}

// In turn, and each first as often as the other, so that what else the machine does is borne by both.
std::vector<WorldsRound> measure_rounds(WorkerWorlds& worlds, const BenchWorldsFlags& flags) {
  const auto count = static_cast<double>(worlds.spec().tasks.size()) * flags.steps;
  Rng rng(1);
  std::vector<WorldsRound> rounds;
  for (int i = 0; i < flags.rounds; ++i) {
    WorldsRound round;
    if (i % 2 == 0) round.own = count / worlds.own_seconds(flags.steps);
    round.bridge = count / bridge_seconds(worlds, flags.steps, rng);
    if (i % 2 == 1) round.own = count / worlds.own_seconds(flags.steps);
    rounds.push_back(round);
  }
  return rounds;
}

Json worlds_json(const WorkerWorlds& worlds) {
  const WorkerWorlds::Losses& losses = worlds.losses();
  return {{"setting", worlds.spec().setting},
          {"tasks", worlds.spec().tasks},
          {"workers", worlds.workers()},
          {"cores", machine::usable_cores()},
          {"observation", worlds.spec().observation},
          {"action", worlds.spec().action},
          {"python", worlds.facts()},
          {"lost", losses.all()},
          {"last_loss", losses.last}};
}

// What is native has no bridge.
void check_bridged(const worlds::WorkerOptions& options) {
  const std::string& name = options.environment;
  DETENTE_CHECK(!worlds::is_native(name),
                ErrorCode::kInvalidArgument,
                "[cli::bench] '{}' is native: there is no bridge to measure. Expected environments "
                "of Python, such as metaworld:MT10.",
                name);
}

void bench_rounds(const BenchWorldsFlags& flags, Context& context) {
  check_bridged(flags.options);
  WorkerWorlds worlds(flags.options);
  const double load = machine::look_at_process().cpu.load;
  const std::vector<WorldsRound> rounds = measure_rounds(worlds, flags);
  std::vector<double> own, bridge, ratio;
  Json list = Json::array();
  for (const WorldsRound& round : rounds) {
    own.push_back(round.own);
    bridge.push_back(round.bridge);
    ratio.push_back(round.ratio());
    list.push_back({{"own_per_s", round.own},
                    {"bridge_per_s", round.bridge},
                    {"ratio", json_number(round.ratio())}});
  }
  if (flags.json) {
    Json json = worlds_json(worlds);
    json.update({{"steps", flags.steps},
                 {"rounds", list},
                 {"own_per_s", middle(own)},
                 {"bridge_per_s", middle(bridge)},
                 {"ratio", json_number(middle(ratio))},
                 {"load_before", json_number(load)}});
    json.update(bench_machine());
    context.out << json_text(json) << "\n";
    return;
  }
  using report::Align;
  report::Table table({{"round"},
                       {"own, steps/s", Align::kRight},
                       {"bridge, steps/s", Align::kRight},
                       {"ratio", Align::kRight}});
  const auto add = [&table](const std::string& name, double a, double b, double c) {
    table.add_row(
        {name, fmt::format("{:.1f}", a), fmt::format("{:.1f}", b), fmt::format("{:.3f}", c)});
  };
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    add(std::to_string(i + 1), own[i], bridge[i], ratio[i]);
  }
  table.add_rule();
  add("median", middle(own), middle(bridge), middle(ratio));
  context.out
      << text::printable(worlds.spec().setting) << "\n\n"
      << table.text()
      << fmt::format(
             "\nSteps of one environment in a second, {} tasks in {} workers on {} cores, {} "
             "vector steps a\nround, random actions; load average {:.2f} before.\n",
             worlds.spec().tasks.size(),
             worlds.workers(),
             machine::usable_cores(),
             flags.steps,
             load);
}

struct ExpertCount {
  int episodes = 0;
  int successes = 0;
  double reward = 0;  // over all steps of those episodes
  bool success = false;
  double reward_now = 0;
};

void bench_experts(const BenchWorldsFlags& flags, Context& context) {
  worlds::WorkerOptions options = flags.options;
  options.end_at_success = true;
  WorkerWorlds worlds(options);
  const std::size_t tasks = worlds.spec().tasks.size();
  std::vector<ExpertCount> counts(tasks);
  const auto unfinished = [&](const ExpertCount& count) { return count.episodes < flags.experts; };
  const Stopwatch watch;
  std::size_t steps = 0;
  worlds.reset();
  while (std::any_of(counts.begin(), counts.end(), unfinished)) {
    const Step& step = worlds.step_by_experts();
    ++steps;
    for (std::size_t k = 0; k < tasks; ++k) {
      ExpertCount& count = counts[k];
      if (step.lost[k] == 0) {
        count.success = count.success || step.success[k] != 0;
        count.reward_now += step.rewards[k];
      }
      if (!step.over(k)) continue;
      if (step.lost[k] == 0 && unfinished(count)) {
        ++count.episodes;
        count.successes += count.success ? 1 : 0;
        count.reward += count.reward_now;
      }
      count.success = false;
      count.reward_now = 0;
    }
  }
  const double seconds = watch.seconds();
  Json list = Json::array();
  report::Table table({{"task"},
                       {"successes", report::Align::kRight},
                       {"episodes", report::Align::kRight},
                       {"mean return", report::Align::kRight}});
  for (std::size_t k = 0; k < tasks; ++k) {
    const double mean = counts[k].reward / counts[k].episodes;
    list.push_back({{"task", worlds.spec().tasks[k]},
                    {"successes", counts[k].successes},
                    {"episodes", counts[k].episodes},
                    {"mean_return", json_number(mean)}});
    table.add_row({text::printable(worlds.spec().tasks[k]),
                   std::to_string(counts[k].successes),
                   std::to_string(counts[k].episodes),
                   fmt::format("{:.1f}", mean)});
  }
  if (flags.json) {
    Json json = worlds_json(worlds);
    json.update({{"experts", list}, {"vector_steps", steps}, {"seconds", seconds}});
    context.out << json_text(json) << "\n";
    return;
  }
  context.out << text::printable(worlds.spec().setting) << "\n\n"
              << table.text()
              << fmt::format("\n{} vector steps in {:.1f} s, {} episodes lost.\n",
                             steps,
                             seconds,
                             worlds.losses().all());
}

}  // namespace

void add_bench_worlds(CLI::App& bench, Context& context) {
  auto flags = std::make_shared<BenchWorldsFlags>();
  worlds::WorkerOptions& options = flags->options;
  CLI::App* command =
      bench.add_subcommand("worlds",
                           "Steps a second of environments in worker processes, beside the "
                           "environments' own; successes of their experts");
  command
      ->add_option("ENVIRONMENT",
                   options.environment,
                   "metaworld:MT10 (MT25, MT50, NAME,NAME), gymnasium:ID, MODULE:FUNCTION, or an "
                   "entry point of the group detente.worlds")
      ->required();
  command->add_option("--workers", options.workers, "Processes; 0: one for each core")
      ->capture_default_str();
  command->add_option("--seed", options.seed, "Of the episodes")->capture_default_str();
  command->add_option("--horizon", options.horizon, "Steps of an episode; 0: the environment's own")
      ->capture_default_str();
  command->add_option("--goals", options.goals, "Of Meta-World: random or kept")
      ->capture_default_str();
  command->add_option("--reward", options.reward, "Of Meta-World: v2 or v1")->capture_default_str();
  command->add_flag("--goal-hidden", options.goal_hidden, "Of Meta-World: goals are not observed");
  command->add_option("--python", options.python, "Default: $DETENTE_PYTHON, else python3");
  command->add_option("--path", options.path, "A folder in which modules are looked for first")
      ->type_name("DIR");
  command->add_option("--start-limit", options.start_limit, "Seconds a worker may take to begin")
      ->capture_default_str();
  command->add_option("--step-limit", options.step_limit, "Seconds a step may take")
      ->capture_default_str();
  command->add_option("--steps", flags->steps, "Vector steps of a round")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_option("--rounds", flags->rounds, "How often both are measured")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command
      ->add_option("--experts",
                   flags->experts,
                   "Instead: so many episodes of each task by its own expert, each ended by its "
                   "first success")
      ->type_name("EPISODES")
      ->check(CLI::Range(1, 100000));
  command->add_flag("--json", flags->json, "JSON instead of text");
  command->callback([flags, &context] {
    flags->options.say = [&context](const std::string& words) { tell(context, "warning", words); };
    if (flags->experts > 0) {
      bench_experts(*flags, context);
    } else {
      bench_rounds(*flags, context);
    }
  });
}

}  // namespace detente::cli
