// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <detente/control/agent.h>
#include <detente/control/evaluate.h>
#include <detente/control/replay_files.h>
#include <detente/control/rows.h>
#include <detente/control/step_line.h>
#include <detente/control/trainer.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/interrupt.h>
#include <detente/core/stopwatch.h>
#include <detente/core/version.h>
#include <detente/machine/process.h>
#include <detente/tensor/compat.h>
#include <detente/tensor/device.h>
#include <detente/tensor/safetensors.h>
#include <detente/train/diagnosis.h>
#include <detente/train/recipe.h>
#include <detente/train/run_lock.h>
#include <detente/train/run_log.h>
#include <detente/train/snapshot.h>
#include <detente/worlds/open.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace detente::control {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kKeptSnapshots = 2;

// Streams of the recipe's seed.
enum Stream : std::uint64_t { kParameters = 1, kActions, kUpdates, kWorlds, kEvaluation };

class Trainer {
 public:
  Trainer(const Recipe& recipe, const TrainOptions& options, std::ostream& log)
      : recipe_(recipe), options_(options), seed_(static_cast<std::uint64_t>(recipe.seed)) {
    observers_.add(files_);
    if (recipe_.tensorboard) observers_.add(std::make_shared<train::EventLog>());
    observers_.add(std::make_shared<train::ProgressLog>(log, options.progress));
  }

  TrainOutcome run() {
    const fs::path root = options_.out.empty() ? fs::path(recipe_.output) : options_.out;
    train::check_run_directory(root, options_.existing);
    if (train::RunDirectory{root}.is_run()) lock(root);
    threads_ = tensor::set_threads(static_cast<int>(recipe_.threads));
    read_snapshot_if_any(root);
    make_worlds();
    make_agent(root);
    open(root);
    const InterruptGuard interrupt;
    return finish(loop(interrupt));
  }

 private:
  const worlds::Spec& spec() const { return worlds_->spec(); }

  void lock(const fs::path& root) {
    if (lock_.held()) return;
    lock_ = train::RunLock::take(root);
    if (!lock_.warning().empty()) observers_.on_message("warning: " + lock_.warning());
  }

  void read_snapshot_if_any(const fs::path& root) {
    if (options_.existing != train::ExistingRun::kResume) return;
    std::vector<std::string> warnings;
    std::optional<train::Snapshot> snapshot = train::newest_snapshot(root, true, warnings);
    for (const std::string& warning : warnings) observers_.on_message("warning: " + warning);
    if (!snapshot) {
      observers_.on_message("Nothing to resume yet (no snapshot): starting from the beginning.");
      return;
    }
    std::string text;
    for (const auto& line : recipe_differences(snapshot->recipe_yaml, recipe_.to_yaml())) {
      text += "\n  " + line;
    }
    DETENTE_CHECK(text.empty(),
                  ErrorCode::kInvalidArgument,
                  "[control::train] the run in '{}' was started with another recipe, so it cannot "
                  "be resumed with "
                  "this one:{}\nUse the earlier values, another --out, or --force to start again.",
                  root.string(),
                  text);
    DETENTE_CHECK(snapshot->state.step <= recipe_.loop.steps,
                  ErrorCode::kInvalidArgument,
                  "[control::train] the run in '{}' has made {} vector steps, and train.steps is "
                  "{}. Ask for as many or more, or begin a new run with another --out.",
                  root.string(),
                  snapshot->state.step,
                  recipe_.loop.steps);
    state_ = std::move(snapshot->state);
    tensors_ = std::move(snapshot->tensors);
    resumed_ = true;
    observers_.on_message(fmt::format("Resuming after step {}.", state_.step));
  }

  worlds::WorkerOptions worlds_options(Stream stream) const {
    worlds::WorkerOptions options = recipe_.worlds;
    Rng rng = Rng(seed_).fork(stream).fork(static_cast<std::uint64_t>(options.seed));
    options.seed = static_cast<std::int64_t>(rng() >> 33U);
    return options;
  }

  void make_worlds() {
    const auto say = [this](const std::string& text) { observers_.on_message("warning: " + text); };
    worlds::WorkerOptions options = worlds_options(kWorlds);
    options.say = say;
    worlds_ = worlds::open_worlds(options);
    // A goal that is kept is the seed's, and is the one to be judged by.
    if (recipe_.worlds.goals != "kept") options = worlds_options(kEvaluation);
    options.say = say;
    evaluation_ = worlds::open_worlds(options);
  }

  void make_agent(const fs::path& root) {
    DETENTE_CHECK(recipe_.replay.sampling != worlds::ReplaySampling::kStratified ||
                      recipe_.loop.batch_size >= std::ssize(spec().tasks),
                  ErrorCode::kInvalidArgument,
                  "[control::train] train.batch_size is {}, and replay.sampling stratified takes "
                  "transitions of each of {} tasks. Ask for a larger batch.",
                  recipe_.loop.batch_size,
                  spec().tasks.size());
    device_ = tensor::parse_device(recipe_.device);
    Rng rng = Rng(seed_).fork(kParameters);
    agent_.emplace(
        AgentShape{.tasks = spec().tasks,
                   .observation = static_cast<std::int64_t>(spec().observation),
                   .action = static_cast<std::int64_t>(spec().action)},
        recipe_.agent,
        AgentMethods{recipe_.critic.balance, recipe_.actor.balance, recipe_.temperature.balance},
        recipe_.engine,
        rng,
        device_);
    replay_.emplace(
        worlds::ReplaySizes{.tasks = spec().tasks.size(),
                            .observation = spec().observation,
                            .action = spec().action,
                            .capacity = static_cast<std::size_t>(recipe_.replay.capacity)});
    successful_.assign(spec().tasks.size(), 0);
    if (resumed_) {
      restore(root);
    } else {
      state_.begin_epoch(spec().tasks.size());
      worlds_->reset();
    }
  }

  void restore(const fs::path& root) {
    DETENTE_CHECK(state_.loss_sums.size() == spec().tasks.size() && state_.engine_state.is_object(),
                  ErrorCode::kData,
                  "[control::train] the snapshot is of a run with {} tasks, this one has {}.",
                  state_.loss_sums.size(),
                  spec().tasks.size());
    agent_->load(nn::without_prefix(tensors_, "agent."), state_.method_state);
    tensors_.clear();
    const Json& kept = state_.engine_state;
    updates_ = kept.at("updates").get<std::int64_t>();
    replay_->load(replay_file(root, state_.step));
    worlds_->load_state(kept.at("worlds"));
    evaluation_->load_state(kept.at("evaluation"));
    if (!worlds_->exact_state()) worlds_->reset();
    const Json& under_way = kept.at("under_way");
    window_.episodes = under_way.at("episodes").get<double>();
    window_.successes = under_way.at("successes").get<double>();
    if (worlds_->exact_state()) {
      successful_ = under_way.at("successful").get<std::vector<std::uint8_t>>();
    }
    DETENTE_CHECK(successful_.size() == spec().tasks.size(),
                  ErrorCode::kData,
                  "[control::train] the snapshot's episodes are of {} tasks, this run has {}.",
                  successful_.size(),
                  spec().tasks.size());
    state_.finished = state_.finished && state_.step >= recipe_.loop.steps;
    evaluation_due_ = evaluates_at(state_.step) && state_.epoch < evaluations(state_.step);
  }

  void open(const fs::path& root) {
    make_directories(root);
    lock(root);
    run_ = train::open_run_directory(root, options_.existing);
    train::tidy_snapshots(run_.root, kKeptSnapshots);
    tidy_replay_files(run_.root);
    write_own_file(run_.recipe(), recipe_.to_yaml());
    snapshots_.emplace(run_.snapshots(), kKeptSnapshots);
    // What observers ask of a recipe: how many epochs there are.
    shown_.name = recipe_.name;
    shown_.loop.epochs = evaluations(recipe_.loop.steps);
    observers_.on_start({.recipe = shown_,
                         .run = run_,
                         .step = state_.step,
                         .resumed = resumed_,
                         .log_bytes = state_.log_bytes,
                         .steps_per_epoch = recipe_.loop.evaluate_every,
                         .total_steps = recipe_.loop.steps,
                         .train_rows = recipe_.loop.evaluate_every * std::ssize(spec().tasks)});
    observers_.on_message(fmt::format("{}: {}, {} parameters, {} on {} with {} threads.",
                                      recipe_.name,
                                      spec().setting,
                                      agent_->parameter_count(),
                                      recipe_.methods(),
                                      device_.text(),
                                      threads_));
    if (resumed_ && !worlds_->exact_state()) {
      observers_.on_message(
          "notice: these environments cannot be saved in the middle of an episode; each task "
          "begins "
          "its next one.");
    }
  }

  std::int64_t evaluations(std::int64_t steps) const {
    const std::int64_t every = recipe_.loop.evaluate_every;
    return (steps + every - 1) / every;
  }

  bool evaluates_at(std::int64_t step) const {
    return step > 0 && (step % recipe_.loop.evaluate_every == 0 || step == recipe_.loop.steps);
  }

  // Updates that belong to so many vector steps.
  std::int64_t updates_due(std::int64_t steps) const {
    const LoopRecipe& loop = recipe_.loop;
    if (steps < loop.first_steps) return 0;
    const std::int64_t first = loop.first_updates < 0 ? loop.first_steps : loop.first_updates;
    return first + (steps - loop.first_steps) * loop.updates;
  }

  // True when interrupted.
  bool loop(const InterruptGuard& interrupt) {
    run_time_ = Stopwatch();
    seconds_before_ = state_.seconds;
    const auto stop = [&] { return interrupt.interrupted() || observers_.stop(); };
    while (true) {
      // First, as a run may have been stopped among them.
      while (updates_ < updates_due(state_.step)) {
        update();
        if (pause(stop)) return true;
      }
      if (evaluation_due_ && !evaluate_now(stop)) {
        save_snapshot();
        return true;
      }
      if (state_.step >= recipe_.loop.steps) break;
      act();
      if (pause(stop)) return true;
    }
    return false;
  }

  template <class Stop>
  bool pause(const Stop& stop) {
    snapshots_->check();
    const bool ends = stop();
    const double minutes = since_snapshot_.seconds() / 60;
    const bool due = recipe_.loop.snapshot_minutes > 0 && minutes >= recipe_.loop.snapshot_minutes;
    if (ends || due) save_snapshot();
    return ends;
  }

  void act() {
    const Stopwatch watch;
    const std::span<const float> seen = worlds_->observations();
    const std::vector<float> before(seen.begin(), seen.end());
    const std::vector<float> actions = actions_on(before);
    const worlds::Step& step = worlds_->step(actions);
    replay_->add(before, actions, step);
    for (std::size_t k = 0; k < spec().tasks.size(); ++k) {
      if (step.lost[k] != 0) {
        successful_[k] = 0;
        continue;
      }
      successful_[k] |= step.success[k];
      if (!step.over(k)) continue;
      window_.episodes += 1;
      window_.successes += successful_[k];
      successful_[k] = 0;
    }
    ++state_.step;
    ++window_.steps;
    evaluation_due_ = evaluates_at(state_.step);
    window_.worlds_s += watch.seconds();
    state_.epoch_seconds += watch.seconds();
  }

  std::vector<float> actions_on(const std::vector<float>& before) {
    Rng rng = Rng(seed_).fork(kActions).fork(static_cast<std::uint64_t>(state_.step));
    std::vector<float> actions(spec().tasks.size() * spec().action);
    if (state_.step < recipe_.loop.first_steps) {
      for (float& action : actions) action = static_cast<float>(2 * rng.uniform() - 1);
      return actions;
    }
    const at::Tensor drawn =
        agent_->act(rows_of(before, spec().observation), TaskCounts(spec().tasks.size(), 1), &rng);
    const std::span<const float> numbers = numbers_of(drawn);
    std::copy(numbers.begin(), numbers.end(), actions.begin());
    return actions;
  }

  void update() {
    const Stopwatch watch;
    replay_->sample(recipe_.replay.sampling,
                    static_cast<std::size_t>(recipe_.loop.batch_size),
                    seed_,
                    static_cast<std::uint64_t>(updates_),
                    batch_);
    Rng rng = Rng(seed_).fork(kUpdates).fork(static_cast<std::uint64_t>(updates_));
    const UpdateReport& report = agent_->update(transitions_of(batch_, spec(), device_), rng);
    ++updates_;
    window_.updates_s += watch.seconds();
    state_.epoch_seconds += watch.seconds();
    const bool last = updates_ == updates_due(state_.step);
    if (last && state_.step % recipe_.loop.log_every == 0) log_line(report);
  }

  void log_line(const UpdateReport& report) {
    report::StepRecord record = line_of(spec().tasks, report, window_);
    record.epoch = state_.epoch + 1;
    record.step = state_.step;
    record.lr = recipe_.agent.lr;
    window_ = Window();
    if (!record.notice.empty()) {
      auto& known = state_.notices;
      if (std::find(known.begin(), known.end(), record.notice) == known.end()) {
        observers_.on_message("notice: " + record.notice);
        known.push_back(record.notice);
      } else {
        record.notice.clear();
      }
    }
    state_.count(record);
    observers_.on_step(record);
  }

  // False when it was given up.
  template <class Stop>
  bool evaluate_now(const Stop& stop) {
    const Json before = evaluation_->state();
    const report::NamedTables reached =
        evaluate(*agent_, *evaluation_, recipe_.loop.episodes, stop);
    if (reached.empty()) {
      evaluation_->load_state(before);  // a resumed run sees the same episodes
      return false;
    }
    evaluation_due_ = false;
    const Json dev = report::to_json(reached);
    state_.count_epoch(dev);
    const double success = mean_success(dev);
    const bool best = state_.is_best(success);
    ++state_.epoch;
    report::EpochRecord record;
    record.epoch = state_.epoch;
    record.step = state_.step;
    record.train_losses = train::by_task(spec().tasks, state_.train_losses());
    record.dev = reached;
    record.seconds = state_.epoch_seconds;
    record.examples_per_second =
        static_cast<double>(recipe_.loop.evaluate_every * std::ssize(spec().tasks)) /
        std::max(1e-9, state_.epoch_seconds);
    record.best = best;
    if (best) {
      state_.best_epoch = state_.epoch;
      state_.best_value = success;
      state_.best_metrics = dev;
      write_own_file(run_.model(),
                     tensor::to_safetensors(agent_->actor(),
                                            {{"format", "detente-actor-1"},
                                             {"recipe", recipe_.to_yaml()},
                                             {"setting", spec().setting}}));
    }
    observers_.on_epoch(record);
    state_.begin_epoch(spec().tasks.size());
    state_.epoch_seconds = 0;
    state_.finished = state_.step >= recipe_.loop.steps;
    save_snapshot();
    return true;
  }

  void save_snapshot() {
    state_.seconds = seconds_before_ + run_time_.seconds();
    state_.log_bytes = files_->log().bytes();
    state_.method_state = agent_->state();
    state_.engine_state = {{"updates", updates_},
                           {"worlds", worlds_->state()},
                           {"evaluation", evaluation_->state()},
                           {"under_way",
                            {{"episodes", window_.episodes},
                             {"successes", window_.successes},
                             {"successful", successful_}}}};
    snapshots_->wait();
    tidy_replay_files(run_.root);
    save_replay(run_.root, *replay_, state_.step);
    const std::vector<train::StatePart> parts = {
        {"agent.", [this] { return agent_->tensors(); }, [](const NamedTensors&) {}}};
    snapshots_->write(state_, parts, recipe_.to_yaml(), [files = files_] { files->log().sync(); });
    since_snapshot_ = Stopwatch();
  }

  TrainOutcome finish(bool interrupted) {
    snapshots_->wait();
    tidy_replay_files(run_.root);
    const Json& newest = state_.last_metrics;
    double sum = 0;
    for (const Json& reached : newest) sum += mean_success(reached);
    const double recent =
        newest.empty() ? report::kNoNumber : sum / static_cast<double>(newest.size());
    const Json last = newest.empty() ? Json(nullptr) : newest.back();
    Json summary{{"name", recipe_.name},
                 {"objective", "soft_actor_critic"},
                 {"method", recipe_.methods()},
                 {"status", interrupted ? "interrupted" : "finished"},
                 {"seed", recipe_.seed},
                 {"setting", spec().setting},
                 {"evaluation",
                  fmt::format("{} episode(s) of each task without noise, every {} vector steps; a "
                              "success is one at any step",
                              recipe_.loop.episodes,
                              recipe_.loop.evaluate_every)},
                 {"epochs", state_.epoch},
                 {"steps", state_.step},
                 {"updates", updates_},
                 {"best_epoch", state_.best_epoch},
                 {"success",
                  {{"last", json_number(mean_success(last))},
                   {"best", json_number(state_.best_value)},
                   {"last_ten", json_number(recent)}}},
                 {"tasks", state_.best_metrics},
                 {"tasks_last", last},
                 {"parameters", agent_->parameter_count()},
                 {"seconds", state_.seconds},
                 {"peak_memory_mib", json_number(machine::peak_memory_mib())},
                 {"threads", threads_},
                 {"device", device_.text()},
                 {"processor", machine::look_at_process().cpu.model},
                 {"engine", "LibTorch " + tensor::engine_version()},
                 {"detente", DETENTE_VERSION}};
    observers_.on_finish(summary);
    return {run_, interrupted, std::move(summary)};
  }

  Recipe recipe_;
  TrainOptions options_;
  std::uint64_t seed_;
  train::Recipe shown_;
  train::ObserverList observers_;
  std::shared_ptr<train::FileLog> files_ = std::make_shared<train::FileLog>(
      [this](const std::string& text) { observers_.on_message(text); });
  train::RunLock lock_;
  train::RunDirectory run_;
  int threads_ = 0;
  tensor::Device device_;
  std::unique_ptr<worlds::Worlds> worlds_;
  std::unique_ptr<worlds::Worlds> evaluation_;
  std::optional<Agent> agent_;
  std::optional<worlds::Replay> replay_;
  worlds::ReplayBatch batch_;
  train::RunState state_;
  NamedTensors tensors_;
  bool resumed_ = false;
  std::int64_t updates_ = 0;
  bool evaluation_due_ = false;
  std::vector<std::uint8_t> successful_;  // whether a task's episode has been
  Window window_;
  Stopwatch run_time_;
  Stopwatch since_snapshot_;
  double seconds_before_ = 0;
  std::optional<train::SnapshotWriter>
      snapshots_;  // the last one: its end waits for what it writes
};

}  // namespace

TrainOutcome train(const Recipe& recipe, const TrainOptions& options, std::ostream& log) {
  TrainOutcome outcome;
  tensor::translate_errors("[control::train]",
                           [&] { outcome = Trainer(recipe, options, log).run(); });
  return outcome;
}

}  // namespace detente::control
