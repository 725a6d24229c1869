// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <detente/core/nan.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/machine/process.h>
#include <detente/measure/agent_benchmark.h>
#include <detente/measure/engine_options.h>
#include <detente/measure/models.h>
#include <detente/measure/step_benchmark.h>
#include <detente/measure/timing.h>
#include <detente/tensor/allocation_peak.h>
#include <detente/tensor/autocast.h>
#include <detente/tensor/compat.h>
#include <detente/train/adamw.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/optim/adam.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

namespace detente::measure {
namespace {

constexpr int kWarmUp = 3;

double minimum(const std::vector<double>& values) {
  return values.empty() ? kNan : *std::min_element(values.begin(), values.end());
}

// What tensors take at the peak of a step beyond the model, its examples and the optimiser's state.
template <class Bench, class Step>
std::int64_t peak_of(const StepBenchmarkOptions& options, Step step) {
  tensor::AllocationPeak counter;
  Bench bench(options);
  bench.plain();
  bench.clear();
  const std::int64_t before = counter.now();
  for (int i = 0; i < 2; ++i) step(bench);
  counter.restart();
  step(bench);
  return counter.peak() - before;
}

class StepBenchmark {
 public:
  explicit StepBenchmark(const StepBenchmarkOptions& options)
      : options_(options),
        device_(tensor::parse_device(options.device)),
        model_(make_model(options.model,
                          options.input == "multi",
                          options.tasks,
                          options.batch,
                          options.seed,
                          device_,
                          options.scale)),
        rng_(options.seed) {
    for (std::int64_t k = 0; k < options.tasks; ++k) names_.push_back("task" + std::to_string(k));
    all_ = model_.shared;
    for (const auto& list : model_.own) all_.insert(all_.end(), list.begin(), list.end());
    if (options.optimizer == "adamw") {
      NamedTensors named;
      for (const auto& parameter : all_)
        named.emplace_back(std::to_string(named.size()), parameter);
      train::AdamWOptions settings;
      settings.lr = 1e-4;
      adamw_ = std::make_unique<train::AdamW>(std::move(named), settings);
    } else {
      adam_ = std::make_unique<torch::optim::Adam>(all_, torch::optim::AdamOptions(1e-4));
    }
    engine::MultiTaskOptions engine_options = engine_options_of(options);
    engine_options.gram_sketch = options.gram_sketch;
    engine_options.sparse_tables = options.optimizer == "adamw";
    // An estimate is used whatever its quality; the caller is told.
    engine_options.estimate_floor = -1;
    backward_ = std::make_unique<engine::MultiTaskBackward>(
        model_.shared, model_.own, balance::make_method(options.method), names_, engine_options);
    engine_options.diagnose_every = 1;
    checked_ = std::make_unique<engine::MultiTaskBackward>(
        model_.shared, model_.own, balance::make_method(options.method), names_, engine_options);
  }

  void clear() { tensor::clear_gradients(all_); }

  double plain() {
    const double start = at_rest_ms();
    tensor::clear_gradients(all_);
    const TensorList losses = model_.losses(0);
    at::Tensor total = losses[0];
    for (std::size_t k = 1; k < losses.size(); ++k) total = total + losses[k];
    total.backward();
    update();
    return at_rest_ms() - start;
  }

  double floor() {
    const double start = at_rest_ms();
    tensor::clear_gradients(all_);
    const TensorList losses = model_.losses(0);
    TensorList last;
    for (std::size_t k = 0; k < losses.size(); ++k) {
      TensorList wanted = model_.shared;
      wanted.insert(wanted.end(), model_.own[k].begin(), model_.own[k].end());
      last = torch::autograd::grad(
          {losses[k]}, wanted, {}, /*retain_graph=*/k + 1 < losses.size(), false, true);
      for (std::size_t j = 0; j < model_.own[k].size(); ++j) {
        model_.own[k][j].mutable_grad() = last[model_.shared.size() + j];
      }
    }
    for (std::size_t i = 0; i < model_.shared.size(); ++i) {
      model_.shared[i].mutable_grad() = last[i];
    }
    update();
    return at_rest_ms() - start;
  }

  struct Times {
    double total, forward, backward, solve;
  };
  Times method() {
    const double start = at_rest_ms();
    double estimate = 0;
    if (estimates()) {
      backward_->set_estimate(estimate_losses());
      estimate = now_ms() - start;
    }
    const double begin = now_ms();
    const TensorList losses = model_.losses(0);
    const double forward = now_ms() - begin;
    const auto& report = (*backward_)(losses, rng_);
    strategy_ = engine::name_of(report.strategy);
    if (!report.notice.empty()) notice_ = report.notice;
    update();
    return {at_rest_ms() - start, forward, estimate + report.backward_ms, report.solve_ms};
  }

  double estimate_cosine() {
    if (estimates()) checked_->set_estimate(estimate_losses());
    return (*checked_)(model_.losses(0), rng_).estimate_cosine;
  }

  bool estimates() const { return options_.gram_rows > 0 || options_.gram_precision == "bf16"; }
  const std::string& strategy() const { return strategy_; }
  const std::string& notice() const { return notice_; }
  std::int64_t parameters() const { return backward_->shared_size(); }

 private:
  double at_rest_ms() const {
    tensor::synchronize(device_);
    return now_ms();
  }

  void update() {
    if (adam_ != nullptr) {
      adam_->step();
    } else {
      adamw_->step(1.0);
    }
  }

  TensorList estimate_losses() {
    std::int64_t rows = 0;  // all
    if (options_.gram_rows > 0) {
      const double part = options_.gram_rows * static_cast<double>(options_.batch);
      rows = std::max<std::int64_t>(1, static_cast<std::int64_t>(std::lround(part)));
    }
    std::optional<tensor::Autocast> autocast;
    if (options_.gram_precision == "bf16") {
      autocast.emplace(device_, tensor::LowPrecision::kBFloat16);
    }
    return model_.losses(rows);
  }

  StepBenchmarkOptions options_;
  tensor::Device device_;
  BenchmarkModel model_;
  Rng rng_;
  TensorList all_;
  std::vector<std::string> names_;
  std::unique_ptr<torch::optim::Adam> adam_;
  std::unique_ptr<train::AdamW> adamw_;
  std::unique_ptr<engine::MultiTaskBackward> backward_;
  std::unique_ptr<engine::MultiTaskBackward> checked_;
  std::string strategy_;
  std::string notice_;
};

}  // namespace

engine::MultiTaskOptions engine_options_of(const StepBenchmarkOptions& options) {
  engine::MultiTaskOptions engine;
  const std::pair<const char*, const std::string&> words[] = {
      {"strategy", options.strategy}, {"memory", options.memory}, {"passes", options.passes}};
  for (const auto& [key, value] : words) {
    set_field([&](FieldVisitor& v) { engine.describe(v); }, key, value, "[measure::step] option");
  }
  return engine;
}

void StepBenchmarkOptions::describe(FieldVisitor& visitor) {
  std::vector<std::string> names = model_names();
  for (const std::string& name : agent_model_names()) names.push_back(name);
  visitor.choice_text("model", model, names, "The network.");
  visitor.choice_text("input",
                      input,
                      {"multi", "single"},
                      "multi: each task has examples of its own; single: one batch for all tasks.");
  visitor.integer("tasks", tasks, {.min = 1, .max = 1000}, "Number of tasks.");
  visitor.integer("batch",
                  batch,
                  {.min = 1, .max = 1e6},
                  "Examples per task (multi) or in the one batch (single).");
  visitor.number("scale",
                 scale,
                 {.min = 0, .max = 1, .min_open = true},
                 "segnet_mtan: the sides of the images as a share of 288 x 384.");
  visitor.text("method", method, "The method, with its default options.");
  visitor.text("strategy", strategy, "How the engine gets the tasks' gradients.");
  visitor.number("gram_rows",
                 gram_rows,
                 {.min = 0, .max = 1, .max_open = true},
                 "Estimate the Gram matrix from this share of the examples; 0: exact.");
  visitor.choice_text("gram_precision",
                      gram_precision,
                      {"same", "bf16"},
                      "bf16: estimate the Gram matrix from passes in mixed precision.");
  visitor.integer("gram_sketch",
                  gram_sketch,
                  {.min = 0, .max = 1e6},
                  "Columns of the engine's random projection for the Gram matrix; 0: exact.");
  visitor.choice_text("passes",
                      passes,
                      {"auto", "in_turn", "side_by_side"},
                      "Whether backward passes run at once, one thread each.");
  visitor.choice_text(
      "memory", memory, {"fast", "low"}, "low: never K gradients at once, one pass more.");
  visitor.choice_text("optimizer",
                      optimizer,
                      {"adam", "adamw"},
                      "adam: LibTorch's; adamw: the one that recipes train with.");
  visitor.text("device", device, "Where the model lives: cpu, cuda or cuda:N.");
  visitor.integer("threads", threads, {.min = 1, .max = 1024}, "Threads of LibTorch.");
  visitor.integer("steps", steps, {.min = 1, .max = 100000}, "Timed steps of each kind.");
}

StepBenchmarkOptions published_sizes(const std::string& model) {
  if (model == "segnet_mtan") return {.model = model, .input = "single", .tasks = 3, .batch = 2};
  if (model == "sac_mt10") return {.model = model, .tasks = 10, .batch = 128};
  if (model == "sac_mt50") return {.model = model, .tasks = 50, .batch = 26};
  return {.model = model};
}

StepBenchmarkResult measure_step(const StepBenchmarkOptions& given,
                                 const std::function<void(std::int64_t, std::int64_t)>& progress) {
  StepBenchmarkOptions options = given;
  validate_fields([&](FieldVisitor& v) { options.describe(v); }, "[measure::step] option");
  const Threads threads(options.threads);
  const std::vector<std::string> agents = agent_model_names();
  if (std::find(agents.begin(), agents.end(), options.model) != agents.end()) {
    StepBenchmarkResult update;
    tensor::translate_errors("measure::step",
                             [&] { update = measure_agent_update(options, progress); });
    return update;
  }
  const bool single = options.input == "single";
  StepBenchmarkResult result;
  result.load_before = machine::look_at_process().cpu.load;
  tensor::translate_errors("measure::step", [&] {
    StepBenchmark bench(options);
    std::vector<double> plain, floor, method, forward, backward, solve;
    for (std::int64_t i = -kWarmUp; i < options.steps; ++i) {
      const double plain_ms = bench.plain();
      const double floor_ms = single ? bench.floor() : kNan;
      const auto times = bench.method();
      if (progress) progress(i + kWarmUp + 1, options.steps + kWarmUp);
      if (i < 0) continue;
      plain.push_back(plain_ms);
      if (single) floor.push_back(floor_ms);
      method.push_back(times.total);
      forward.push_back(times.forward);
      backward.push_back(times.backward);
      solve.push_back(times.solve);
    }
    result.ms_plain = median(plain);
    result.ms_floor = median(floor);
    result.ms_method = median(method);
    result.ratio = result.ms_method / result.ms_plain;
    result.ratio_floor = result.ms_method / result.ms_floor;
    result.ms_forward = median(forward);
    result.ms_backward = median(backward);
    result.ms_solve = median(solve);
    result.plain_min = minimum(plain);
    result.method_min = minimum(method);
    result.plain_peak_bytes = peak_of<StepBenchmark>(options, [](auto& b) { b.plain(); });
    result.peak_bytes = peak_of<StepBenchmark>(options, [](auto& b) { b.method(); });
    result.parameters = bench.parameters();
    result.strategy = bench.strategy();
    result.notice = bench.notice();
    result.estimate_cosine = kNan;
    if (bench.estimates() || options.gram_sketch > 0) {
      double sum = 0;
      constexpr int kChecks = 5;
      for (int i = 0; i < kChecks; ++i) {
        sum += bench.estimate_cosine();
        bench.method();  // moves the parameters
      }
      result.estimate_cosine = sum / kChecks;
    }
  });
  result.load_after = machine::look_at_process().cpu.load;
  return result;
}

Json StepBenchmarkResult::to_json() const {
  return {{"ms_plain", ms_plain},
          {"ms_floor", json_number(ms_floor)},
          {"ms_method", ms_method},
          {"ratio", ratio},
          {"ratio_floor", json_number(ratio_floor)},
          {"ms_forward", ms_forward},
          {"ms_backward", ms_backward},
          {"ms_solve", ms_solve},
          {"plain_min", plain_min},
          {"method_min", method_min},
          {"peak_bytes", peak_bytes},
          {"plain_peak_bytes", plain_peak_bytes},
          {"parameters", parameters},
          {"strategy", strategy},
          {"notice", notice},
          {"estimate_cosine", json_number(estimate_cosine)},
          {"load_before", json_number(load_before)},
          {"load_after", json_number(load_after)}};
}

}  // namespace detente::measure
