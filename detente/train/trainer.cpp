// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <detente/core/crash_point.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/interrupt.h>
#include <detente/core/stopwatch.h>
#include <detente/core/version.h>
#include <detente/data/epoch_plan.h>
#include <detente/machine/process.h>
#include <detente/nn/image_layers.h>
#include <detente/tensor/compat.h>
#include <detente/tensor/group.h>
#include <detente/tensor/safetensors.h>
#include <detente/train/answer_record.h>
#include <detente/train/corpus.h>
#include <detente/train/deterministic.h>
#include <detente/train/diagnosis.h>
#include <detente/train/evaluate.h>
#include <detente/train/in_run_values.h>
#include <detente/train/initial_model.h>
#include <detente/train/label_losses.h>
#include <detente/train/look_record.h>
#include <detente/train/objective.h>
#include <detente/train/probe.h>
#include <detente/train/run_lock.h>
#include <detente/train/run_log.h>
#include <detente/train/selection.h>
#include <detente/train/snapshot.h>
#include <detente/train/trainer.h>
#include <detente/train/training_step.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

namespace detente::train {
namespace {

class Trainer {
 public:
  Trainer(const Recipe& recipe, const TrainOptions& options, std::ostream& log)
      : recipe_(recipe), options_(options) {
    if (options_.group) group_ = options_.group;
    if (!first()) return;  // one process writes and speaks
    observers_.add(files_);
    if (recipe_.tensorboard) observers_.add(std::make_shared<EventLog>());
    observers_.add(std::make_shared<ProgressLog>(log, options.progress));
    for (const auto& observer : options.observers) observers_.add(observer);
    for (const std::string& note : recipe_.notes) observers_.on_message("notice: " + note);
  }

  TrainOutcome run() {
    const std::filesystem::path root =
        options_.out.empty() ? std::filesystem::path(recipe_.output) : options_.out;
    check_sources(root);
    if (first()) {
      check_run_directory(root, options_.existing);
      if (RunDirectory{root}.is_run()) lock(root);
    }
    // Before anything is made: the system may refuse so many.
    threads_ = tensor::set_threads(static_cast<int>(recipe_.threads));
    check_processes();
    if (first()) read_snapshot_if_any(root);
    share_snapshot();
    prepare(root);
    share_model();
    crash_point("start.alike");
    if (first()) open(root);
    // To the end: an end that is asked for must not come while the last of the run is written.
    const InterruptGuard interrupt;
    return finish(loop(interrupt));
  }

 private:
  bool first() const { return group_->rank() == 0; }
  bool spread() const { return group_->size() > 1; }

  // A run must not take the place of one that it learns from; --resume would find itself.
  void check_sources(const std::filesystem::path& root) const {
    const auto refuse = [&](const std::string& key, const std::filesystem::path& source) {
      std::error_code ignored;
      const bool same = std::filesystem::equivalent(root, source, ignored) ||
                        std::filesystem::equivalent(root, source.parent_path(), ignored);
      DETENTE_CHECK(!same || !RunDirectory{root}.is_run(),
                    ErrorCode::kInvalidArgument,
                    "[train::train] the run would be written to '{}', which is what {} names: the "
                    "run that it learns from. Choose another --out.",
                    root.string(),
                    key);
    };
    if (!recipe_.loop.start_from.empty()) refuse("train.start_from", recipe_.loop.start_from);
    for (const TaskRecipe& task : recipe_.distill) {
      if (task.distill.teacher != "ema") {
        refuse("tasks." + task.name + ".teacher", task.distill.teacher);
      }
    }
  }

  // What all have to agree on before anything begins.
  void check_processes() {
    if (!spread()) return;
    DETENTE_CHECK(recipe_.loop.curvature_every == 0,
                  ErrorCode::kUnsupported,
                  "[train::train] train.curvature_every measures the loss in one process; this run "
                  "has {}. Leave it at 0, or train with one.",
                  group_->size());
    DETENTE_CHECK(recipe_.parallel.mode != ParallelRecipe::Mode::kDdp ||
                      recipe_.balance->method_class() == balance::MethodClass::kLoss,
                  ErrorCode::kInvalidArgument,
                  "[train::train] parallel.mode ddp sums one gradient as plain training does, and "
                  "method '{}' looks at one per task. Use auto or sharded.",
                  recipe_.method);
    const auto differences =
        recipe_differences(group_->from_first(recipe_.to_yaml()), recipe_.to_yaml());
    std::string text;
    for (const auto& difference : differences) text += "\n  " + difference;
    DETENTE_CHECK(!tensor::any(*group_, !differences.empty()),
                  ErrorCode::kInvalidArgument,
                  "[train::train] the {} processes of the run have different recipes; expected "
                  "that of rank 0 in all.{}",
                  group_->size(),
                  differences.empty() ? " Others differ from it." : " Here it is another:" + text);
  }

  // Rank 0 reads; the others need no folder.
  void share_snapshot() {
    if (!spread()) return;
    const std::string state =
        group_->from_first(resumed_ && first() ? state_.to_json().dump() : "");
    if (state.empty()) return;
    const std::string tensors =
        group_->from_first(first() ? tensor::to_safetensors(snapshot_tensors_) : "");
    if (first()) return;
    resumed_ = true;
    state_ = RunState::from_json(Json::parse(state));
    snapshot_tensors_ = tensor::from_safetensors(tensors, "the snapshot of rank 0");
  }

  // All begin with rank 0's numbers: another processor may have drawn or fitted others.
  void share_model() {
    if (!spread()) return;
    std::string names;
    for (const auto& [name, tensor] : model_->state()) {
      names += name;
      for (const std::int64_t size : tensor.sizes()) names += fmt::format(" {}", size);
      names += "\n";
    }
    tensor::check_same(*group_, "models", names);
    tensor::check_same(*group_, "training rows", corpus_.train->digest());
    tensor::check_same(*group_, "validation rows", corpus_.dev->digest());
    if (resumed_) return;
    const std::string state =
        group_->from_first(first() ? tensor::to_safetensors(model_->state()) : "");
    if (!first()) model_->load_state(tensor::from_safetensors(state, "the model of rank 0"));
  }

  void lock(const std::filesystem::path& root) {
    if (lock_.held()) return;
    lock_ = RunLock::take(root);
    if (!lock_.warning().empty()) observers_.on_message("warning: " + lock_.warning());
  }

  void read_snapshot_if_any(const std::filesystem::path& root) {
    if (options_.existing != ExistingRun::kResume) return;
    const RunDirectory run{root};
    std::vector<std::string> warnings;
    std::optional<Snapshot> snapshot = newest_snapshot(root, !options_.accept_changed, warnings);
    if (!snapshot) {
      DETENTE_CHECK(!std::filesystem::exists(run.summary()),
                    ErrorCode::kInvalidArgument,
                    "[train::train] the run in '{}' has ended and has no snapshot, so there is "
                    "nothing to go on "
                    "from. Choose another folder with --out, or replace the run with --force.",
                    root.string());
      if (run.is_run()) {
        observers_.on_message("Nothing to resume yet (no snapshot): starting from the beginning.");
      }
      return;
    }
    for (const std::string& warning : warnings) observers_.on_message("warning: " + warning);
    const auto differences = recipe_differences(snapshot->recipe_yaml, recipe_.to_yaml());
    if (!differences.empty()) {
      std::string text;
      for (const auto& difference : differences) text += "\n  " + difference;
      fail(ErrorCode::kInvalidArgument,
           "[train::train] the run in '{}' was started with another recipe, so it cannot be "
           "resumed with this one:{}\nUse the earlier values, another --out, or --force to start "
           "again.",
           root.string(),
           text);
    }
    state_ = std::move(snapshot->state);
    snapshot_tensors_ = std::move(snapshot->tensors);
    resumed_ = true;
    observers_.on_message(fmt::format("Resuming after step {}.", state_.step));
    check_epochs(root);
  }

  // A finished run goes on where more epochs are asked for.
  void check_epochs(const std::filesystem::path& root) {
    const std::int64_t asked = recipe_.loop.epochs;
    DETENTE_CHECK(state_.epoch + (state_.batch > 0 ? 1 : 0) <= asked,
                  ErrorCode::kInvalidArgument,
                  "[train::train] the run in '{}' has trained {} epochs{}, and train.epochs is {}. "
                  "Ask for as many or more, or begin a new run with another --out.",
                  root.string(),
                  state_.epoch,
                  state_.batch > 0 ? " and part of the next" : "",
                  asked);
    if (!state_.finished) return;
    if (state_.epoch == asked) {
      observers_.on_message(
          fmt::format("All {} epochs of this run are trained; nothing is left to do. More of them: "
                      "--set train.epochs={}.",
                      asked,
                      asked + 1));
      return;
    }
    state_.finished = false;
    observers_.on_message(
        fmt::format("The run had finished after {} epochs and goes on to {}. Its learning rate "
                    "follows the schedule for {} from here on, so the result is not that of a run "
                    "planned so long.",
                    state_.epoch,
                    asked,
                    asked));
  }

  // Other rows would go on silently where this run's were; a new run remembers its own.
  void check_rows(const std::filesystem::path& root) {
    const auto same = [&](const char* part, std::string& before, const std::string& now) {
      DETENTE_CHECK(before.empty() || before == now || options_.accept_changed,
                    ErrorCode::kData,
                    "[train::train] the {} rows are not those that the run in '{}' was trained "
                    "with: values, targets or their order have changed. Bring the data of then "
                    "back, begin a new run with another --out, or go on with --accept-changed.",
                    part,
                    root.string());
      before = now;
    };
    same("training", state_.train_digest, corpus_.train->digest());
    same("validation", state_.dev_digest, corpus_.dev->digest());
  }

  // Wrong data and too large models must cost nothing: whatever was made for the cache goes again.
  void prepare(const std::filesystem::path& root) {
    const std::filesystem::path cache = root / "cache";
    const bool had_root = std::filesystem::exists(root);
    const bool had_cache = std::filesystem::exists(cache);
    try {
      if (first()) make_directories(root);
      // Rank 0 writes the cache, the others find it there.
      if (!first()) group_->wait();
      load_data(root, first() || std::filesystem::exists(cache) ? cache : std::filesystem::path());
      if (first()) group_->wait();
      build_model();
      group_->wait();
    } catch (...) {
      if (!first()) throw;
      std::error_code ignored;
      if (!had_cache) std::filesystem::remove_all(cache, ignored);
      if (!had_root) std::filesystem::remove(root, ignored);
      throw;
    }
  }

  void load_data(const std::filesystem::path& root, const std::filesystem::path& cache) {
    corpus_ = load_corpus(recipe_, cache);
    if (first() && resumed_ && !options_.accept_changed) {
      check_run_manifest({root}, /*recipe=*/false);  // which is written anew in any case
      check_fitted(*corpus_.train, root);
    }
    check_rows(root);
    // Parts of one file may have the same to say.
    std::set<std::string> said;
    for (const auto* source : {corpus_.train.get(), corpus_.dev.get()}) {
      for (const auto& warning : source->warnings()) {
        if (said.insert(warning).second) observers_.on_message("warning: " + warning);
      }
    }
    plan_.emplace(epoch_plan(recipe_, *corpus_.train));
    steps_per_epoch_ = plan_->steps();
    total_steps_ = steps_per_epoch_ * recipe_.loop.epochs;
  }

  void build_model() {
    device_ = tensor::parse_device(options_.device.empty() ? recipe_.device : options_.device);
    const tensor::DType dtype = tensor::parse_dtype(recipe_.precision);
    if (recipe_.deterministic) deterministic_.emplace(device_);
    model_ = make_model(recipe_, *corpus_.train);
    if (!resumed_) {
      if (const std::string what = recipe_.model.trunk->long_start(); !what.empty()) {
        observers_.on_message(what);
      }
      if (recipe_.loop.head_start == HeadStart::kProbe) {
        observers_.on_message("Fitting the heads to the features before training.");
      }
      start_from_data(recipe_, *corpus_.train, *model_);
      // The others get rank 0's parameters.
      if (!recipe_.loop.start_from.empty() && first()) {
        start_from_run(recipe_.loop.start_from, *model_);
      }
    }
    model_->to(device_, dtype);
    make_losses(dtype);
    NamedTensors shared = model_->named_shared_parameters();
    std::vector<double> rates = model_->shared_learning_rates();
    for (auto& named : losses_->shared_parameters()) shared.push_back(std::move(named));
    if (!rates.empty()) rates.resize(shared.size(), 1.0);
    step_.emplace(
        recipe_, shared, *losses_, total_steps_, rates, group_, recipe_.parallel.exchange());
    step_->set_examples(corpus_.train.get());
    if (recipe_.valuation.method == ValuationRecipe::Method::kInRun) {
      values_.emplace(context(dtype), *losses_, shared);
      step_->set_witness(&*values_);
    }
    if (spread()) average_statistics();
    if (resumed_) {
      DETENTE_CHECK(
          state_.loss_sums.size() == step_->tasks().size(),
          ErrorCode::kData,
          "[train::train] the snapshot is of a run with {} losses, this one has {}. A run "
          "goes on with the losses it was started with (TrainOptions::losses): there were "
          "other losses.",
          state_.loss_sums.size(),
          step_->tasks().size());
      restore_snapshot(snapshot_tensors_, state_parts());
      snapshot_tensors_.clear();
    } else {
      state_.begin_epoch(step_->tasks().size());
    }
  }

  void average_statistics() {
    TensorList statistics = nn::running_statistics(model_->state());
    if (statistics.empty()) return;
    observers_.on_message(fmt::format(
        "notice: batch normalisation takes its statistics from the rows of each of the {} "
        "processes, "
        "about {} of a batch, so another number of processes is another training; group "
        "normalisation (model.norm: group) does not depend on it. Running statistics are those of "
        "all.",
        group_->size(),
        std::max<std::int64_t>(1, recipe_.loop.batches.batch_size / group_->size())));
    step_->average(std::move(statistics));
  }

  LossContext context(tensor::DType dtype) const {
    return {recipe_, corpus_, *model_, device_, dtype, steps_per_epoch_, total_steps_, group_};
  }

  void make_losses(tensor::DType dtype) {
    std::vector<std::unique_ptr<LossSource>> sources;
    const LossContext context = this->context(dtype);
    const Objective& objective = *recipe_.loop.objective;
    if (!recipe_.tasks.empty() && !objective.takes_labels()) {
      sources.push_back(std::make_unique<LabelLosses>(context));
    }
    if (auto losses = objective.losses(context)) sources.push_back(std::move(losses));
    for (const MakeLosses& make : options_.losses) sources.push_back(make(context));
    losses_ = std::make_unique<JoinedLosses>(std::move(sources));
  }

  std::vector<StatePart> state_parts() {
    std::vector<StatePart> parts = step_->state_parts(state_);
    parts.insert(parts.begin(),
                 {"model.",
                  [this] { return model_->state(); },
                  [this](const NamedTensors& tensors) { model_->load_state(tensors); },
                  StateChanges::kParametersInUpdate});
    if (values_) {
      parts.push_back({"values.",
                       [this] { return values_->state(); },
                       [this](const NamedTensors& tensors) { values_->load_state(tensors); }});
    }
    return parts;
  }

  void open(const std::filesystem::path& root) {
    lock(root);
    run_ = open_run_directory(root, options_.existing);
    tidy_snapshots(run_.root, recipe_.loop.kept_snapshots());
    crash_point("run.marked");
    if (!resumed_ || options_.accept_changed) corpus_.train->save(run_.root);
    crash_point("run.fitted");
    write_own_file(run_.recipe(), recipe_.to_yaml());
    write_run_manifest(run_);
    crash_point("run.recipe");
    snapshots_.emplace(run_.snapshots(), recipe_.loop.kept_snapshots());
    step_->before_update([this] { snapshots_->wait_for_copy(); });
    observers_.on_start({.recipe = recipe_,
                         .run = run_,
                         .step = state_.step,
                         .resumed = resumed_,
                         .log_bytes = state_.log_bytes,
                         .steps_per_epoch = steps_per_epoch_,
                         .total_steps = total_steps_,
                         .train_rows = static_cast<std::int64_t>(corpus_.train->size())});
    observers_.on_message(fmt::format(
        "{}: {} training rows, {} validation rows, {} tasks, {} parameters, {} on {} with {} "
        "threads{}.",
        recipe_.name,
        corpus_.train->size(),
        corpus_.dev->size(),
        recipe_.tasks.size(),
        model_->parameter_count(),
        recipe_.method,
        device_.text(),
        threads_,
        spread() ? fmt::format(" in each of {} processes", group_->size()) : ""));
  }

  // True when interrupted.
  bool loop(const InterruptGuard& interrupt) {
    run_time_ = Stopwatch();
    seconds_before_ = state_.seconds;
    since_snapshot_ = Stopwatch();
    while (!state_.finished) {
      if (state_.epoch >= recipe_.loop.epochs) {
        state_.finished = true;
        break;
      }
      const auto batches = plan_->batches(static_cast<std::uint64_t>(state_.epoch));
      while (state_.batch < static_cast<std::int64_t>(batches.size())) {
        step(batches);
        if (first()) snapshots_->check();
        // What one process wants all do: [to end, a snapshot].
        const double minutes = since_snapshot_.seconds() / 60.0;
        const bool due =
            recipe_.loop.snapshot_minutes > 0 && minutes >= recipe_.loop.snapshot_minutes;
        double wanted[] = {interrupt.interrupted() || observers_.stop() ? 1.0 : 0.0,
                           first() && due ? 1.0 : 0.0};
        group_->sum(wanted);
        crash_point("step.asked");
        if (wanted[0] + wanted[1] > 0) save_snapshot();
        if (wanted[0] > 0) return true;
      }
      end_epoch();
    }
    return false;
  }

  void step(const std::vector<data::RowList>& batches) {
    const StepResult result = (*step_)(batches, {state_.step, state_.epoch, state_.batch});
    ++state_.step;
    ++state_.batch;
    state_.epoch_seconds += 1e-3 * result.total_ms;
    report::StepRecord record = step_record(step_->tasks(), *result.report, result.curvature);
    record.epoch = state_.epoch + 1;
    record.step = state_.step;
    record.lr = result.learning_rate;
    if (recipe_.engine.loss_scaling == engine::MultiTaskOptions::LossScaling::kNone) {
      record.loss_scale = report::kNoNumber;
    }
    record.ms = {{"total", result.total_ms},
                 {"forward", result.forward_ms},
                 {"backward", result.report->backward_ms},
                 {"solve", result.report->solve_ms},
                 {"extra", result.extra_ms}};
    if (!record.skipped) record.monitor = losses_->numbers();
    for (const std::string& message : losses_->messages()) observers_.on_message(message);
    tell_news();
    if (values_) {
      for (const std::string& message : values_->messages()) observers_.on_message(message);
    }
    notice(record);
    state_.count(record);
    observers_.on_step(record);
  }

  // What reading examples has found out.
  void tell_news() {
    for (const auto* source : {corpus_.train.get(), corpus_.dev.get()}) {
      for (const std::string& news : source->news()) observers_.on_message("warning: " + news);
    }
  }

  // Shown once in each process, logged once in the whole run.
  void notice(report::StepRecord& record) {
    if (record.skipped && state_.skipped_steps == 0) {
      observers_.on_message(fmt::format(
          "notice: step {} changed nothing: its gradients overflowed at loss scale {:g}, which is "
          "halved now. Some such steps are usual at the start; metrics.jsonl marks them (skipped).",
          record.step,
          record.loss_scale));
    }
    if (record.notice.empty()) return;
    observers_.on_message("notice: " + record.notice);
    auto& known = state_.notices;
    if (std::find(known.begin(), known.end(), record.notice) == known.end()) {
      known.push_back(record.notice);
    } else {
      record.notice.clear();
    }
  }

  // Of the metrics that choose the best epoch; more is better; NaN where they are undefined.
  double value_of(const std::vector<std::vector<MetricValue>>& metrics,
                  const report::NamedTables& probes) {
    if (recipe_.tasks.empty()) {
      // Nothing to choose by: the last one.
      if (!probes_->any()) return static_cast<double>(state_.epoch + 1);
      // Epochs without a measurement.
      if (probes.empty()) return std::nan("");
      const auto& numbers = probes.front().second;
      return numbers.empty() ? std::nan("") : numbers.front().second;
    }
    const auto selection = parse_selection(recipe_.loop.select, recipe_.tasks);
    return selected_value(
        selection, metrics, [&](const SelectedMetric& one, const std::string& reason) {
          if (state_.best_epoch > 0) return;
          observers_.on_message(fmt::format(
              "notice: {}.{} chooses the epoch whose model is kept, but is undefined on the "
              "validation rows ({}). {} train.select names another metric.",
              recipe_.tasks[one.task].name,
              one.metric,
              reason,
              selection.size() == 1 ? "The first epoch's model is kept until it is defined;"
                                    : "It counts as 0 beside the others;"));
        });
  }

  void end_epoch() {
    crash_point("epoch.trained");
    if (first()) measure_epoch();
    group_->wait();
    if (!first()) ++state_.epoch;
    state_.batch = 0;
    state_.begin_epoch(step_->tasks().size());
    state_.finished = state_.epoch >= recipe_.loop.epochs;
    save_snapshot();
  }

  void measure_epoch() {
    tell_news();
    AnswerRecord answers(recipe_, *corpus_.train, *corpus_.dev);
    std::vector<TaskPredictions> predictions;
    if (!recipe_.tasks.empty()) {
      predictions = predict_rows(*model_,
                                 *corpus_.dev,
                                 prediction_batch(recipe_),
                                 wanted_probabilities(recipe_),
                                 answers.sink());
      corpus_.dev->settle();
    }
    const auto metrics = evaluate(recipe_, predictions, *corpus_.dev);
    if (!probes_) probes_.emplace(recipe_, corpus_);
    const LookRecord looks(recipe_, corpus_);
    const std::optional<nn::Model> other = other_kept_model();
    const nn::Model& kept = other ? *other : *model_;
    std::optional<ProbedFeatures> features;
    const report::NamedTables probes = probe_features(kept, features);
    crash_point("epoch.evaluated");
    const double value = value_of(metrics, probes);
    const bool best = state_.is_best(value);
    ++state_.epoch;
    report::EpochRecord record;
    record.epoch = state_.epoch;
    record.step = state_.step;
    record.train_losses = by_task(step_->tasks(), state_.train_losses());
    record.dev = metrics_by_task(recipe_, metrics);
    record.dev.insert(record.dev.end(), probes.begin(), probes.end());
    record.seconds = state_.epoch_seconds;
    record.examples_per_second =
        static_cast<double>(plan_->rows()) / std::max(1e-9, state_.epoch_seconds);
    record.best = best;
    const Json dev = report::to_json(record.dev);
    state_.count_epoch(dev);
    if (best) {
      state_.best_epoch = state_.epoch;
      state_.best_value = value;
      state_.best_metrics = dev;
      save_model(kept);
      crash_point("epoch.model");
      if (!recipe_.tasks.empty()) {
        write_own_file(run_.answers(), answers.text(state_.epoch, predictions));
      }
      if (looks.any()) {
        write_own_file(run_.looks(),
                       looks.text(state_.epoch, kept, features ? &*features : nullptr));
      }
      crash_point("epoch.answers");
    }
    observers_.on_epoch(record);
    crash_point("epoch.logged");
  }

  report::NamedTables probe_features(const nn::Model& kept,
                                     std::optional<ProbedFeatures>& features) {
    const std::int64_t epoch = state_.epoch + 1;
    if (epoch % recipe_.loop.probe_every != 0 && epoch != recipe_.loop.epochs) return {};
    return probes_->measure(kept, &features);
  }

  // What is kept in place of the model that is trained, if anything.
  std::optional<nn::Model> other_kept_model() const {
    const auto kept = losses_->kept_model();
    if (!kept) return std::nullopt;
    nn::Model other = model_->clone();
    other.load_state(*kept);
    return other;
  }

  void save_model(const nn::Model& kept) {
    write_own_file(run_.model(),
                   tensor::to_safetensors(
                       kept.state(), {{"format", kModelFormat}, {"recipe", recipe_.to_yaml()}}));
  }

  void save_snapshot() {
    crash_point("snapshot.due");
    if (!first()) {
      // Rank 0 may need what is kept here.
      if (recipe_.parallel.zero == 1) {
        for (const StatePart& part : step_->state_parts(state_)) part.save();
      }
      return;
    }
    state_.seconds = seconds_before_ + run_time_.seconds();
    state_.log_bytes = files_->log().bytes();
    snapshots_->write(
        state_, state_parts(), recipe_.to_yaml(), [files = files_] { files->log().sync(); });
    since_snapshot_ = Stopwatch();
  }

  TrainOutcome finish(bool interrupted) {
    if (!first()) {
      leave_together();
      return {run_, interrupted, nullptr};
    }
    snapshots_->wait();
    if (state_.finished && state_.best_epoch > 0 && std::isnan(state_.best_value)) {
      observers_.on_message(
          "warning: the metric that chooses the epoch was undefined on the validation rows in all "
          "epochs, so the first epoch's model is kept. train.select names another metric.");
    }
    const auto share = [](double part, std::int64_t whole) {
      return whole > 0 ? Json(part / static_cast<double>(whole)) : Json(nullptr);
    };
    Json summary{{"name", recipe_.name},
                 {"method", recipe_.method},
                 {"objective", recipe_.loop.objective_name},
                 {"status", interrupted ? "interrupted" : "finished"},
                 {"seed", recipe_.seed},
                 {"epochs", state_.epoch},
                 {"steps", state_.step},
                 {"skipped_steps", state_.skipped_steps},
                 {"best_epoch", state_.best_epoch},
                 {"tasks", state_.best_metrics},
                 {"last_epochs", state_.last_epochs()},
                 {"dev_rows", corpus_.dev->size()},
                 {"train_rows", corpus_.train->size()},
                 {"parameters", model_->parameter_count()},
                 {"conflict_share",
                  share(static_cast<double>(state_.conflict_steps), state_.diagnosed_steps)},
                 {"mean_cosine", share(state_.cosine_sum, state_.cosine_count)},
                 {"seconds", state_.seconds},
                 {"peak_memory_mib", json_number(machine::peak_memory_mib())},
                 {"threads", threads_},
                 {"device", device_.text()},
                 {"processor", machine::look_at_process().cpu.model},
                 {"engine", "LibTorch " + tensor::engine_version()},
                 {"detente", DETENTE_VERSION}};
    // Where features alone were learned, what they are worth stands where a reader looks first.
    if (recipe_.probes.size() == 1 && state_.best_metrics.contains(recipe_.probes[0].name)) {
      const Json& scores = state_.best_metrics[recipe_.probes[0].name];
      for (const char* metric : kProbeMetrics) {
        if (scores.contains(metric)) summary[metric] = scores[metric];
      }
    }
    if (values_) {
      summary["valuation"] = values_->audit();
      write_own_file(run_.values(), valuation::to_csv(values_->table()));
    }
    observers_.on_finish(summary);
    leave_together();
    return {run_, interrupted, std::move(summary)};
  }

  // Launchers end all at the first exit code that is not 0, which is what an interrupted run has:
  // nobody leaves before rank 0 has saved everything. Who is gone by then is needed no more.
  void leave_together() {
    crash_point("finish.saved");
    try {
      group_->wait();
    } catch (const Error&) {
    }
  }

  Recipe recipe_;
  TrainOptions options_;
  std::shared_ptr<tensor::Group> group_ = std::make_shared<tensor::Group>();
  ObserverList observers_;
  std::shared_ptr<FileLog> files_ =
      std::make_shared<FileLog>([this](const std::string& text) { observers_.on_message(text); });
  RunLock lock_;
  RunDirectory run_;
  Corpus corpus_;
  std::optional<data::EpochPlan> plan_;
  std::int64_t steps_per_epoch_ = 0;
  std::int64_t total_steps_ = 0;
  int threads_ = 0;
  tensor::Device device_;
  std::optional<DeterministicAlgorithms> deterministic_;
  std::unique_ptr<nn::Model> model_;
  std::unique_ptr<LossSource> losses_;
  std::optional<TrainingStep> step_;
  std::optional<InRunValues> values_;
  std::optional<Probes> probes_;
  RunState state_;
  NamedTensors snapshot_tensors_;
  bool resumed_ = false;
  Stopwatch run_time_;
  Stopwatch since_snapshot_;
  double seconds_before_ = 0;
  std::optional<SnapshotWriter> snapshots_;  // the last one: its end waits for what it writes
};

}  // namespace

TrainOutcome train(const Recipe& recipe, const TrainOptions& options, std::ostream& log) {
  TrainOutcome outcome;
  try {
    tensor::translate_errors("[train::train]",
                             [&] { outcome = Trainer(recipe, options, log).run(); });
  } catch (const Error& error) {
    if (options.group && error.code() != ErrorCode::kPeerLost) options.group->give_up(error.what());
    throw;
  }
  return outcome;
}

}  // namespace detente::train
