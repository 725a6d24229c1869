// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/version.h>
#include <detente/report/html_page.h>
#include <detente/report/html_report.h>
#include <detente/report/run_data.h>
#include <detente/report/tensorboard.h>
#include <detente/tensor/compat.h>
#include <detente/tensor/safetensors.h>
#include <detente/text/ppmi.h>
#include <detente/train/corpus.h>
#include <detente/train/curvature.h>
#include <detente/train/deterministic.h>
#include <detente/train/diagnosis.h>
#include <detente/train/evaluate.h>
#include <detente/train/interrupt.h>
#include <detente/train/snapshot.h>
#include <detente/train/step_losses.h>
#include <detente/train/step_rules.h>
#include <detente/train/surgery.h>
#include <detente/train/trainer.h>
#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <optional>
#include <ostream>

namespace detente::train {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Streams of random numbers; each step's come from the seed and the step alone, so a resumed run
// draws what it would have drawn.
enum RandomStream : std::uint64_t {
  kDropoutStream = 1,
  kMethodStream = 2,
  kEmbeddingStream = 3,
  kFirstIndependentStream = 4,
  kSecondIndependentStream = 5,
  kEstimateStream = 6
};

Rng step_rng(std::int64_t seed, RandomStream stream, std::int64_t step) {
  return Rng(static_cast<std::uint64_t>(seed)).fork(stream).fork(static_cast<std::uint64_t>(step));
}

std::filesystem::path idf_path(const RunDirectory& run) { return run.tokenizer() / "idf.json"; }

std::unique_ptr<nn::PairModel> make_model(const Recipe& recipe,
                                          const text::Tokenizer& tokenizer,
                                          const text::IdfTable& idf) {
  std::vector<nn::TaskHead> heads;
  for (const TaskRecipe& task : recipe.tasks) heads.push_back({task.name, task.head});
  const nn::Vocabulary vocabulary{static_cast<std::int64_t>(tokenizer.size()),
                                  static_cast<std::int64_t>(tokenizer.ids_per_token()),
                                  tokenizer.special().pad,
                                  tokenizer.special().cls,
                                  tokenizer.special().sep};
  auto model = std::make_unique<nn::PairModel>(recipe.model.options,
                                               vocabulary,
                                               std::move(heads),
                                               static_cast<std::uint64_t>(recipe.seed),
                                               extra_feature_count(recipe));
  if (recipe.model.options.pooling == nn::PairModelOptions::Pooling::kIdf) {
    // A token of every sentence weighs ln((1 + n) / (1 + n)) = 0, not the 1 of IdfTable.
    std::vector<double> weights = idf.values();
    for (double& weight : weights) weight = std::max(0.0, weight - 1.0);
    model->set_token_weights(weights);
  }
  return model;
}

std::vector<std::vector<std::int32_t>> all_sentences(const data::PairData& data) {
  std::vector<std::vector<std::int32_t>> sentences = data.ids_a;
  sentences.insert(sentences.end(), data.ids_b.begin(), data.ids_b.end());
  return sentences;
}

// What the training rows say before any training: the scale of the extra numbers and each head's
// best constant answer.
void start_from_statistics(const data::PairData& data, nn::PairModel& model) {
  std::vector<double> means(data.features.cols());
  std::vector<double> deviations(data.features.cols());
  const auto rows = static_cast<double>(data.size());
  for (std::size_t j = 0; j < means.size(); ++j) {
    for (std::size_t i = 0; i < data.size(); ++i) means[j] += data.features(i, j) / rows;
    for (std::size_t i = 0; i < data.size(); ++i) {
      const double difference = data.features(i, j) - means[j];
      deviations[j] += difference * difference / rows;
    }
    deviations[j] = std::sqrt(deviations[j]);
  }
  model.set_extra_scale(means, deviations);
  for (std::size_t k = 0; k < data.targets.size(); ++k) {
    model.set_initial_prediction(k, report::finite_mean(data.targets[k].values));
  }
}

Json by_task(const Recipe& recipe, const std::vector<double>& values) {
  Json json = Json::object();
  for (std::size_t k = 0; k < recipe.tasks.size(); ++k) {
    json[recipe.tasks[k].name] = json_number(values[k]);
  }
  return json;
}

std::string metrics_text(const Recipe& recipe,
                         const std::vector<std::vector<MetricValue>>& metrics) {
  std::string text;
  for (std::size_t k = 0; k < recipe.tasks.size(); ++k) {
    text += (k > 0 ? " | " : "") + recipe.tasks[k].name;
    for (const auto& metric : metrics[k]) {
      text += fmt::format(" {} {:.4f}", metric.name, metric.value);
    }
  }
  return text;
}

class Trainer {
 public:
  Trainer(const Recipe& recipe, const TrainOptions& options, std::ostream& log)
      : recipe_(recipe),
        options_(options),
        progress_(log, options.progress),
        smoothed_(recipe.tasks.size(), std::nan("")) {}

  TrainOutcome run() {
    const std::filesystem::path root =
        options_.out.empty() ? std::filesystem::path(recipe_.output) : options_.out;
    check_run_directory(root, options_.existing);
    read_snapshot_if_any(root);
    load_data(root);
    build_model();
    open(root);
    const bool interrupted = loop();
    return finish(interrupted);
  }

 private:
  void read_snapshot_if_any(const std::filesystem::path& root) {
    if (options_.existing != ExistingRun::kResume) return;
    const RunDirectory run{root};
    if (!std::filesystem::exists(run.snapshot())) {
      if (run.is_run()) {
        progress_.line("Nothing to resume yet (no snapshot): starting from the beginning.");
      }
      return;
    }
    SnapshotHeader header = read_snapshot(run.snapshot(), &snapshot_tensors_);
    const auto differences = recipe_differences(header.recipe_yaml, recipe_.to_yaml());
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
    state_ = std::move(header.state);
    resumed_ = true;
    progress_.line(fmt::format("Resuming after step {}.", state_.step));
  }

  // Data errors must cost nothing: whatever was made for the cache goes again.
  void load_data(const std::filesystem::path& root) {
    const std::filesystem::path cache = root / "cache";
    const bool had_root = std::filesystem::exists(root);
    const bool had_cache = std::filesystem::exists(cache);
    try {
      make_directories(root);
      corpus_ = load_corpus(recipe_, recipe_.data.cache ? cache : std::filesystem::path());
    } catch (...) {
      std::error_code ignored;
      if (!had_cache) std::filesystem::remove_all(cache, ignored);
      if (!had_root) std::filesystem::remove(root, ignored);
      throw;
    }
    for (const auto& warning : corpus_.train.warnings) progress_.line("warning: " + warning);
    for (const auto& warning : corpus_.dev.warnings) progress_.line("warning: " + warning);
    lengths_ = data::row_lengths(corpus_.train);
    steps_per_epoch_ =
        static_cast<std::int64_t>(data::batch_count(corpus_.train.size(), recipe_.loop.batches));
    total_steps_ = steps_per_epoch_ * recipe_.loop.epochs;
  }

  void build_model() {
    threads_ = tensor::set_threads(static_cast<int>(recipe_.threads));
    device_ = tensor::parse_device(recipe_.device);
    dtype_ = tensor::parse_dtype(recipe_.precision);
    if (recipe_.deterministic) deterministic_.emplace(device_);
    model_ = make_model(recipe_, *corpus_.tokenizer, corpus_.idf);
    if (!resumed_) {
      start_from_statistics(corpus_.train, *model_);
      if (recipe_.model.embedding_init == ModelRecipe::EmbeddingInit::kPpmi) set_ppmi_embedding();
    }
    model_->to(device_, dtype_);

    NamedTensors parameters;
    const auto add = [&](const std::vector<std::string>& names, const TensorList& tensors) {
      for (std::size_t i = 0; i < names.size(); ++i) parameters.emplace_back(names[i], tensors[i]);
    };
    add(model_->shared_names(), model_->shared_parameters());
    std::vector<TensorList> own;
    std::vector<std::string> names;
    for (std::size_t k = 0; k < recipe_.tasks.size(); ++k) {
      own.push_back(model_->head_parameters(k));
      add(model_->head_names(k), own.back());
      names.push_back(recipe_.tasks[k].name);
    }
    optimizer_.emplace(std::move(parameters), recipe_.optimizer);
    engine::MultiTaskOptions options = recipe_.engine;
    options.sparse_tables = true;  // AdamW takes them
    backward_.emplace(model_->shared_parameters(), own, recipe_.balance, names, options);
    LayerGroups groups = parameter_groups(recipe_.surgery, model_->shared_names());
    methods_ = {recipe_.balance};
    if (recipe_.surgery.by_group()) methods_ = methods_like(*recipe_.balance, groups.names.size());
    backward_->set_groups(std::move(groups.names), std::move(groups.group_of));
    if (recipe_.surgery.by_group()) backward_->balance_by_group(methods_);
    losses_.emplace(recipe_, corpus_.train, *model_, device_, dtype_);
    if (resumed_) {
      restore_snapshot(snapshot_tensors_, state_, *model_, *optimizer_, methods_);
      snapshot_tensors_.clear();
      backward_->load_state(state_.engine_state);
    } else {
      state_.loss_sums.assign(recipe_.tasks.size(), 0.0);
      state_.loss_counts.assign(recipe_.tasks.size(), 0.0);
    }
  }

  void set_ppmi_embedding() {
    progress_.line("Computing initial embeddings from the training sentences.");
    text::PpmiOptions options;
    options.width = static_cast<std::size_t>(recipe_.model.options.width);
    options.window = static_cast<std::size_t>(recipe_.model.ppmi_window);
    options.ids_per_token = corpus_.tokenizer->ids_per_token();
    Rng rng = step_rng(recipe_.seed, kEmbeddingStream, 0);
    model_->set_embedding(text::ppmi_embedding(
        all_sentences(corpus_.train), corpus_.tokenizer->size(), options, rng));
  }

  void open(const std::filesystem::path& root) {
    run_ = open_run_directory(root, options_.existing);
    make_directories(run_.tokenizer());
    corpus_.tokenizer->save(run_.tokenizer());
    write_file_atomic(idf_path(run_), corpus_.idf.to_json().dump());
    write_file_atomic(run_.recipe(), recipe_.to_yaml());
    metrics_log_.emplace(run_.metrics(), resumed_ ? state_.step : -1);
    if (recipe_.tensorboard) {
      events_.emplace(run_.root);
      if (resumed_) events_->restart_at(state_.step + 1);
    }
    progress_.line(fmt::format(
        "{}: {} training rows, {} validation rows, {} tasks, {} parameters, {} on {} with {} "
        "threads.",
        recipe_.name,
        corpus_.train.size(),
        corpus_.dev.size(),
        recipe_.tasks.size(),
        model_->parameter_count(),
        recipe_.method,
        device_.text(),
        threads_));
  }

  // True when interrupted.
  bool loop() {
    const InterruptGuard interrupt;
    start_ = Clock::now();
    started_at_step_ = state_.step;
    seconds_before_ = state_.seconds;
    last_snapshot_ = Clock::now();
    while (!state_.finished) {
      if (state_.epoch >= recipe_.loop.epochs) {
        state_.finished = true;
        break;
      }
      const auto batches = data::epoch_batches(lengths_,
                                               recipe_.loop.batches,
                                               static_cast<std::uint64_t>(recipe_.seed),
                                               static_cast<std::uint64_t>(state_.epoch));
      while (state_.batch < static_cast<std::int64_t>(batches.size())) {
        step(batches);
        if (interrupt.interrupted()) {
          save_snapshot();
          progress_.finish();
          return true;
        }
        const double minutes = seconds_since(last_snapshot_) / 60.0;
        if (recipe_.loop.snapshot_minutes > 0 && minutes >= recipe_.loop.snapshot_minutes) {
          save_snapshot();
        }
      }
      end_epoch();
    }
    progress_.finish();
    return false;
  }

  // One loss per task of the step under way, undefined where no row has a target.
  TensorList losses_of(const data::RowList& rows, RandomStream dropout_stream) const {
    return losses_of(rows, dropout_stream, recipe_.autocast);
  }
  TensorList losses_of(const data::RowList& rows,
                       RandomStream dropout_stream,
                       std::optional<tensor::LowPrecision> precision) const {
    return (*losses_)(rows, step_rng(recipe_.seed, dropout_stream, state_.step), precision).values;
  }

  // What the method wants to know of other rows before the step.
  void look_ahead(const std::vector<data::RowList>& batches) {
    const auto b = static_cast<std::size_t>(state_.batch);
    if (backward_->wants_independent()) {
      const std::size_t n = batches.size();
      // Fewer than three batches are not independent of this one: the engine takes it alone.
      if (n < 3) return;
      const TensorList first = losses_of(batches[(b + n / 3) % n], kFirstIndependentStream);
      const TensorList second = losses_of(batches[(b + 2 * n / 3) % n], kSecondIndependentStream);
      backward_->set_independent(first, second);
    } else if (estimates_gram(recipe_) && backward_->wants_estimate()) {
      backward_->set_estimate(
          losses_of(part_of(batches[b], recipe_.gram_rows),
                    kEstimateStream,
                    recipe_.gram_precision ? recipe_.gram_precision : recipe_.autocast));
    }
  }

  // The parts of the step's batch one after the other, each with dropout of its own.
  void for_each_part(const data::RowList& rows, const std::function<void(TaskLosses)>& use) const {
    const Rng dropout = step_rng(recipe_.seed, kDropoutStream, state_.step);
    std::uint64_t part = 0;
    for (const data::RowList& some : micro_batches(rows, recipe_.loop.micro_batches)) {
      use((*losses_)(some, part == 0 ? dropout : dropout.fork(part), recipe_.autocast));
      ++part;
    }
  }

  // The losses of the same rows under the new parameters, with the same dropout.
  void look_back(const data::RowList& rows) {
    if (!recipe_.balance->wants_losses_after_step()) return;
    std::vector<TaskLosses> parts;
    {
      const torch::NoGradGuard no_grad;
      for_each_part(rows, [&](TaskLosses losses) { parts.push_back(std::move(losses)); });
    }
    backward_->after_step(joined_losses(parts));
  }

  // Forward and backward of one batch; adds to `forward_ms`.
  const engine::StepReport& gradients(const data::RowList& rows,
                                      Rng& method_rng,
                                      std::optional<CurvatureProbe>& probe,
                                      double& forward_ms) {
    if (recipe_.loop.micro_batches == 1) {
      const auto begin = Clock::now();
      const TensorList losses = losses_of(rows, kDropoutStream);
      forward_ms += 1e3 * seconds_since(begin);
      probe = make_probe(losses);
      return (*backward_)(losses, method_rng);
    }
    auto begin = Clock::now();
    for_each_part(rows, [&](const TaskLosses& losses) {
      forward_ms += 1e3 * seconds_since(begin);
      backward_->accumulate(losses.values, losses.rows);
      begin = Clock::now();
    });
    return backward_->finish(method_rng);
  }

  void step(const std::vector<data::RowList>& batches) {
    const auto begin = Clock::now();
    const data::RowList& rows = batches[static_cast<std::size_t>(state_.batch)];
    const double factor = schedule_factor(recipe_.schedule, state_.step, total_steps_);
    Rng method_rng = step_rng(recipe_.seed, kMethodStream, state_.step);
    double forward_ms = 0;
    double extra_ms = 0;
    const engine::StepReport* report = nullptr;
    std::optional<Curvature> curvature;
    try {
      look_ahead(batches);
      extra_ms = 1e3 * seconds_since(begin);
      std::optional<CurvatureProbe> probe;
      report = &gradients(rows, method_rng, probe, forward_ms);
      if (!report->skipped) {
        optimizer_->step(factor);
        const auto done = Clock::now();
        look_back(rows);
        if (probe) curvature = probe->measure([&] { return losses_of(rows, kDropoutStream); });
        extra_ms += 1e3 * seconds_since(done);
      }
    } catch (const Error& error) {
      throw Error(error.code(),
                  fmt::format("step {} (epoch {}): {}{}",
                              state_.step + 1,
                              state_.epoch + 1,
                              error.what(),
                              error.code() == ErrorCode::kNumeric
                                  ? " A lower optimizer.lr or a clipping norm "
                                    "(engine.clip_norm) often helps."
                                  : ""));
    }
    ++state_.step;
    ++state_.batch;
    const double step_seconds = seconds_since(begin);
    state_.epoch_seconds += step_seconds;
    examples_ += static_cast<double>(rows.size());
    record(*report,
           factor,
           diagnosis(*report, curvature),
           {{"total", 1e3 * step_seconds},
            {"forward", forward_ms},
            {"backward", report->backward_ms},
            {"solve", report->solve_ms},
            {"extra", extra_ms}});
  }

  bool due(std::int64_t every) const { return every > 0 && state_.step % every == 0; }

  // Before the engine frees the losses' graph; nothing where no curvature is due.
  std::optional<CurvatureProbe> make_probe(const TensorList& losses) const {
    if (!due(recipe_.loop.curvature_every)) return std::nullopt;
    TensorList own;
    for (std::size_t k = 0; k < recipe_.tasks.size(); ++k) {
      for (const auto& parameter : model_->head_parameters(k)) own.push_back(parameter);
    }
    return CurvatureProbe(losses, model_->shared_parameters(), own);
  }

  Json diagnosis(const engine::StepReport& report,
                 const std::optional<Curvature>& curvature) const {
    if (!curvature && report.groups.empty()) return nullptr;
    std::vector<std::string> names;
    for (const TaskRecipe& task : recipe_.tasks) names.push_back(task.name);
    return diagnosis_json(names, report, curvature);
  }

  void record(const engine::StepReport& report, double factor, Json diagnosis, Json milliseconds) {
    const std::size_t k = recipe_.tasks.size();
    double total_loss = 0;
    for (std::size_t i = 0; i < k; ++i) {
      if (std::isnan(report.losses[i])) continue;
      state_.loss_sums[i] += report.losses[i];
      state_.loss_counts[i] += 1;
      total_loss += report.weights[i] * report.losses[i];
      double& smooth = smoothed_[i];
      smooth = std::isnan(smooth) ? report.losses[i] : 0.95 * smooth + 0.05 * report.losses[i];
    }
    Json line{{"type", "step"},
              {"epoch", state_.epoch + 1},
              {"step", state_.step},
              {"lr", recipe_.optimizer.lr * factor},
              {"losses", by_task(recipe_, report.losses)},
              {"loss", json_number(total_loss)},
              {"weights", by_task(recipe_, report.weights)}};
    if (report.diagnosed) {
      line["grad_norms"] = by_task(recipe_, report.gradient_norms);
      Json cosines = Json::object();
      for (std::size_t i = 0; i < k; ++i) {
        for (std::size_t j = i + 1; j < k; ++j) {
          const double cosine = report.cosines(i, j);
          cosines[recipe_.tasks[i].name + "|" + recipe_.tasks[j].name] = json_number(cosine);
          if (std::isfinite(cosine)) {
            state_.cosine_sum += cosine;
            ++state_.cosine_count;
          }
        }
      }
      line["cosines"] = std::move(cosines);
      line["conflict"] = report.conflict;
      ++state_.diagnosed_steps;
      state_.conflict_steps += report.conflict ? 1 : 0;
    }
    line["direction_norm"] = json_number(report.direction_norm);
    if (report.estimated) line["estimated"] = true;
    if (std::isfinite(report.estimate_cosine)) line["estimate_cosine"] = report.estimate_cosine;
    record_scaling(report, line);
    notice(report.notice, line);
    if (!diagnosis.is_null()) line["diagnosis"] = std::move(diagnosis);
    line["ms"] = std::move(milliseconds);
    metrics_log_->write(line);
    if (events_) write_events(report, factor);
    show_progress();
  }

  void record_scaling(const engine::StepReport& report, Json& line) {
    if (recipe_.engine.loss_scaling == engine::MultiTaskOptions::LossScaling::kNone) return;
    line["loss_scale"] = report.loss_scale;
    if (!report.skipped) return;
    line["skipped"] = true;
    if (state_.skipped_steps++ > 0) return;
    progress_.line(fmt::format(
        "notice: step {} changed nothing: its gradients overflowed at loss scale {:g}, which is "
        "halved now. Some such steps are usual at the start; metrics.jsonl marks them (skipped).",
        state_.step,
        report.loss_scale));
  }

  // Shown once in each process, logged once in the whole run.
  void notice(const std::string& text, Json& line) {
    if (text.empty()) return;
    progress_.line("notice: " + text);
    auto& known = state_.notices;
    if (std::find(known.begin(), known.end(), text) != known.end()) return;
    known.push_back(text);
    line["notice"] = text;
  }

  void write_events(const engine::StepReport& report, double factor) {
    const auto add = [&](const std::string& tag, double value) {
      if (std::isfinite(value)) events_->add_scalar(tag, state_.step, value);
    };
    add("train/lr", recipe_.optimizer.lr * factor);
    for (std::size_t i = 0; i < recipe_.tasks.size(); ++i) {
      const std::string& name = recipe_.tasks[i].name;
      add("train/loss/" + name, report.losses[i]);
      add("train/weight/" + name, report.weights[i]);
      if (!report.diagnosed) continue;
      add("train/gradient_norm/" + name, report.gradient_norms[i]);
      for (std::size_t j = i + 1; j < recipe_.tasks.size(); ++j) {
        add("train/cosine/" + name + "|" + recipe_.tasks[j].name, report.cosines(i, j));
      }
    }
  }

  void show_progress() {
    Progress::State state;
    state.epoch = state_.epoch + 1;
    state.epochs = recipe_.loop.epochs;
    state.step = state_.batch;
    state.steps = steps_per_epoch_;
    state.done = state_.step;
    state.total = total_steps_;
    state.start = started_at_step_;
    state.seconds = seconds_since(start_);
    state.examples_per_second = examples_ / std::max(1e-9, state.seconds);
    for (std::size_t k = 0; k < smoothed_.size(); ++k) {
      state.losses.emplace_back(recipe_.tasks[k].name, smoothed_[k]);
    }
    progress_.update(state);
  }

  void end_epoch() {
    const auto predictions =
        predict_rows(*model_, corpus_.dev, 4 * recipe_.loop.batches.batch_size);
    const auto metrics = evaluate(recipe_, predictions, corpus_.dev);
    const Recipe::Selection selection = recipe_.selection();
    double value = std::nan("");
    for (const auto& metric : metrics[selection.task]) {
      if (metric.name == selection.metric) value = metric.value;
    }
    if (report::lower_is_better(selection.metric)) value = -value;
    const bool best = state_.best_epoch == 0 || value > state_.best_value;
    const Json dev = metrics_json(recipe_, metrics);
    ++state_.epoch;
    state_.batch = 0;
    if (best) {
      state_.best_epoch = state_.epoch;
      state_.best_value = std::isfinite(value) ? value : -HUGE_VAL;
      state_.best_metrics = dev;
      save_model();
    }
    std::vector<double> train_losses(recipe_.tasks.size());
    for (std::size_t k = 0; k < train_losses.size(); ++k) {
      train_losses[k] = state_.loss_sums[k] / state_.loss_counts[k];
    }
    metrics_log_->write(
        {{"type", "epoch"},
         {"epoch", state_.epoch},
         {"step", state_.step},
         {"train_losses", by_task(recipe_, train_losses)},
         {"dev", dev},
         {"seconds", state_.epoch_seconds},
         {"examples_per_second",
          static_cast<double>(corpus_.train.size()) / std::max(1e-9, state_.epoch_seconds)},
         {"best", best}});
    if (events_) {
      for (std::size_t k = 0; k < recipe_.tasks.size(); ++k) {
        for (const auto& metric : metrics[k]) {
          if (!std::isfinite(metric.value)) continue;
          events_->add_scalar(
              "dev/" + recipe_.tasks[k].name + "/" + metric.name, state_.step, metric.value);
        }
      }
      events_->flush();
    }
    progress_.line(fmt::format("epoch {}/{} in {}: {}{}",
                               state_.epoch,
                               recipe_.loop.epochs,
                               report::duration_text(state_.epoch_seconds),
                               metrics_text(recipe_, metrics),
                               best ? " (best)" : ""));
    std::fill(state_.loss_sums.begin(), state_.loss_sums.end(), 0.0);
    std::fill(state_.loss_counts.begin(), state_.loss_counts.end(), 0.0);
    state_.epoch_seconds = 0;
    state_.finished = state_.epoch >= recipe_.loop.epochs;
    save_snapshot();
  }

  void save_model() {
    tensor::write_safetensors(run_.model(),
                              model_->state(),
                              {{"format", "detente-model-1"}, {"recipe", recipe_.to_yaml()}});
  }

  void save_snapshot() {
    state_.seconds = seconds_before_ + seconds_since(start_);
    state_.method_state = methods_state(methods_);
    state_.engine_state = backward_->state();
    state_.optimizer_steps = optimizer_->steps();
    write_snapshot(run_.snapshot(), state_, *model_, *optimizer_, methods_, recipe_.to_yaml());
    last_snapshot_ = Clock::now();
  }

  TrainOutcome finish(bool interrupted) {
    const auto share = [](double part, std::int64_t whole) {
      return whole > 0 ? Json(part / static_cast<double>(whole)) : Json(nullptr);
    };
    Json summary{{"name", recipe_.name},
                 {"method", recipe_.method},
                 {"status", interrupted ? "interrupted" : "finished"},
                 {"seed", recipe_.seed},
                 {"epochs", state_.epoch},
                 {"steps", state_.step},
                 {"skipped_steps", state_.skipped_steps},
                 {"best_epoch", state_.best_epoch},
                 {"tasks", state_.best_metrics},
                 {"dev_rows", corpus_.dev.size()},
                 {"train_rows", corpus_.train.size()},
                 {"parameters", model_->parameter_count()},
                 {"conflict_share",
                  share(static_cast<double>(state_.conflict_steps), state_.diagnosed_steps)},
                 {"mean_cosine", share(state_.cosine_sum, state_.cosine_count)},
                 {"seconds", state_.seconds},
                 {"threads", threads_},
                 {"engine", "LibTorch " + tensor::engine_version()},
                 {"detente", DETENTE_VERSION}};
    write_file_atomic(run_.summary(), summary.dump(2) + "\n");
    if (events_) events_->flush();
    report::write_html_report(run_.root);
    return {run_, interrupted, std::move(summary)};
  }

  Recipe recipe_;
  TrainOptions options_;
  Progress progress_;
  RunDirectory run_;
  Corpus corpus_;
  std::vector<std::size_t> lengths_;
  std::int64_t steps_per_epoch_ = 0;
  std::int64_t total_steps_ = 0;
  int threads_ = 0;
  tensor::Device device_;
  tensor::DType dtype_ = tensor::DType::kFloat32;
  std::optional<DeterministicAlgorithms> deterministic_;
  std::unique_ptr<nn::PairModel> model_;
  std::optional<StepLosses> losses_;
  std::optional<AdamW> optimizer_;
  MethodList methods_;
  std::optional<engine::MultiTaskBackward> backward_;
  std::optional<MetricsLog> metrics_log_;
  std::optional<report::EventWriter> events_;
  RunState state_;
  NamedTensors snapshot_tensors_;
  bool resumed_ = false;
  Clock::time_point start_;
  Clock::time_point last_snapshot_;
  std::int64_t started_at_step_ = 0;
  double seconds_before_ = 0;
  double examples_ = 0;
  std::vector<double> smoothed_;  // running mean loss per task, for the progress line
};

}  // namespace

TrainOutcome train(const Recipe& recipe, const TrainOptions& options, std::ostream& log) {
  TrainOutcome outcome;
  tensor::translate_errors("[train::train]",
                           [&] { outcome = Trainer(recipe, options, log).run(); });
  return outcome;
}

LoadedRun load_run(const std::filesystem::path& root, const std::vector<std::string>& overrides) {
  LoadedRun loaded;
  loaded.run = existing_run(root);
  loaded.recipe = load_recipe(loaded.run.recipe(), overrides);
  loaded.tokenizer = text::load_tokenizer(loaded.run.tokenizer());
  const Json idf = Json::parse(read_file(idf_path(loaded.run)), nullptr, false);
  DETENTE_CHECK(!idf.is_discarded(),
                ErrorCode::kData,
                "[train::load_run] '{}' is damaged (not JSON).",
                idf_path(loaded.run).string());
  loaded.idf = text::IdfTable::from_json(idf);
  tensor::translate_errors("[train::load_run]", [&] {
    tensor::set_threads(static_cast<int>(loaded.recipe.threads));
    loaded.model = make_model(loaded.recipe, *loaded.tokenizer, loaded.idf);
    tensor::Metadata metadata;
    const NamedTensors tensors = tensor::read_safetensors(loaded.run.model(), &metadata);
    DETENTE_CHECK(metadata["format"] == "detente-model-1",
                  ErrorCode::kData,
                  "[train::load_run] '{}' is a safetensors file but no model of this version.",
                  loaded.run.model().string());
    loaded.model->load_state(tensors);
    loaded.model->to(tensor::parse_device(loaded.recipe.device),
                     tensor::parse_dtype(loaded.recipe.precision));
  });
  return loaded;
}

}  // namespace detente::train
