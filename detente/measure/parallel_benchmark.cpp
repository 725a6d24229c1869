// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/measure/models.h>
#include <detente/measure/parallel_benchmark.h>
#include <detente/measure/timing.h>
#include <detente/parallel/process_group.h>
#include <detente/tensor/allocation_peak.h>
#include <detente/tensor/compat.h>
#include <detente/train/adamw.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

namespace detente::measure {
namespace {

constexpr int kParallelWarmUp = 3;

// Hands everything on and looks at the clock.
class TimedGroup final : public tensor::Group {
 public:
  explicit TimedGroup(std::shared_ptr<tensor::Group> group) : group_(std::move(group)) {}

  int rank() const override { return group_->rank(); }
  int size() const override { return group_->size(); }
  void sum(std::span<double> numbers) override {
    timed([&] { group_->sum(numbers); });
  }
  void sum(at::Tensor& values) override {
    timed([&] { group_->sum(values); });
  }
  void scatter_sum(const at::Tensor& rows, at::Tensor& own) override {
    timed([&] { group_->scatter_sum(rows, own); });
  }
  std::unique_ptr<Pending> start_scatter_sum(const at::Tensor& rows, at::Tensor own) override {
    auto timed_one = std::make_unique<TimedPending>();
    timed_one->group = this;
    timed_one->begun = now_ms();
    timed([&] { timed_one->inner = group_->start_scatter_sum(rows, std::move(own)); });
    return timed_one;
  }
  void gather(const at::Tensor& own, at::Tensor& all) override {
    timed([&] { group_->gather(own, all); });
  }
  std::string from_first(std::string text) override { return group_->from_first(std::move(text)); }
  void wait() override { group_->wait(); }
  void give_up(const std::string& message) noexcept override { group_->give_up(message); }

  // Since the last call: in which this process waited, and in which something was under way.
  std::pair<double, double> milliseconds() {
    return {std::exchange(waited_, 0.0), std::exchange(under_way_, 0.0)};
  }

 private:
  struct TimedPending final : Pending {
    TimedGroup* group = nullptr;
    std::unique_ptr<Pending> inner;
    double begun = 0;

    void finish() override {
      const double begin = now_ms();
      inner->finish();
      const double end = now_ms();
      group->waited_ += end - begin;
      // Several overlap each other: time counts once.
      group->under_way_ += end - std::max(begun, group->last_end_);
      group->last_end_ = end;
    }
  };

  template <class Call>
  void timed(Call call) {
    const double begin = now_ms();
    call();
    const double took = now_ms() - begin;
    waited_ += took;
    under_way_ += took;
  }

  std::shared_ptr<tensor::Group> group_;
  double waited_ = 0;
  double under_way_ = 0;
  double last_end_ = 0;
};

class ParallelBenchmark {
 public:
  ParallelBenchmark(const ParallelBenchmarkOptions& options,
                    const std::string& mode,
                    std::shared_ptr<tensor::Group> group)
      : group_(std::make_shared<TimedGroup>(std::move(group))),
        // Examples of its own, the parameters of all: data are drawn after them.
        model_(make_model(
            options.model, options.input == "multi", options.tasks, options.batch, options.seed)),
        rng_(options.seed) {
    NamedTensors named;
    std::vector<std::string> names;
    for (std::int64_t k = 0; k < options.tasks; ++k) names.push_back("task" + std::to_string(k));
    for (const auto& parameter : model_.shared) {
      named.emplace_back(std::to_string(named.size()), parameter);
      parameters += parameter.numel();
    }
    for (const auto& list : model_.own) {
      for (const auto& parameter : list) {
        named.emplace_back(std::to_string(named.size()), parameter);
        own_parameters += parameter.numel();
      }
    }
    train::AdamWOptions settings;
    settings.lr = 1e-4;
    adamw_ = std::make_unique<train::AdamW>(std::move(named), settings);
    const bool plain = mode == "alone" || mode == "ddp";
    engine::MultiTaskOptions engine_options;
    if (mode == "features") engine_options.strategy = engine::Strategy::kFeatures;
    backward_ = std::make_unique<engine::MultiTaskBackward>(
        model_.shared,
        model_.own,
        balance::make_method(plain ? "ew" : options.method),
        names,
        engine_options);
    if (mode != "alone") {
      backward_->set_group(
          group_, mode == "naive" ? engine::Exchange::kReplicated : engine::Exchange::kSharded);
    }
  }

  void forward() { model_.losses(0); }
  struct Times {
    double total, waited, under_way;
  };
  Times step() {
    group_->milliseconds();
    const double begin = now_ms();
    (*backward_)(model_.losses(0), rng_);
    adamw_->step(1.0);
    const double total = now_ms() - begin;
    const auto [waited, under_way] = group_->milliseconds();
    return {total, waited, under_way};
  }

  std::int64_t parameters = 0;
  std::int64_t own_parameters = 0;

 private:
  std::shared_ptr<TimedGroup> group_;
  BenchmarkModel model_;
  Rng rng_;
  std::unique_ptr<train::AdamW> adamw_;
  std::unique_ptr<engine::MultiTaskBackward> backward_;
};

// The largest of the processes' numbers.
double slowest(tensor::Group& group, double mine) {
  std::vector<double> all(static_cast<std::size_t>(group.size()), 0.0);
  all[static_cast<std::size_t>(group.rank())] = mine;
  group.sum(all);
  return *std::max_element(all.begin(), all.end());
}

std::int64_t bound_of(
    const std::string& mode, std::int64_t world, std::int64_t k, double p, double own) {
  const auto others = static_cast<double>(world - 1);
  const auto tasks = static_cast<double>(k);
  double numbers = 0;
  if (mode == "ddp" || mode == "features") numbers = 2 * (p + own);
  if (mode == "naive") numbers = 2 * (tasks * p + own);
  if (mode == "sharded") numbers = (tasks + 1) * p + 2 * own;
  return static_cast<std::int64_t>(4 * others * numbers);
}

ParallelBenchmarkRow measure_mode(const ParallelBenchmarkOptions& options,
                                  const std::string& mode,
                                  const std::shared_ptr<tensor::Group>& group,
                                  const std::function<std::int64_t()>& bytes_sent,
                                  ParallelBenchmarkResult& result) {
  ParallelBenchmarkRow row;
  row.mode = mode;
  ParallelBenchmark bench(options, mode, group);
  result.parameters = bench.parameters;
  result.own_parameters = bench.own_parameters;
  std::vector<double> times;
  std::vector<double> waits;
  std::vector<double> ways;
  std::int64_t before = 0;
  for (std::int64_t i = -kParallelWarmUp; i < options.steps; ++i) {
    double nothing = 0;
    group->sum(std::span(&nothing, 1));  // all begin at once
    if (i == options.steps - 1) before = bytes_sent();
    const auto one = bench.step();
    if (i == options.steps - 1) row.bytes_sent = bytes_sent() - before;
    if (i < 0) continue;
    times.push_back(one.total);
    waits.push_back(one.waited);
    ways.push_back(one.under_way);
  }
  double sent = static_cast<double>(row.bytes_sent);
  group->sum(std::span(&sent, 1));
  row.bytes_sent = static_cast<std::int64_t>(sent);
  row.ms_step = slowest(*group, median(times));
  row.ms_wait = slowest(*group, median(waits));
  const double under_way = slowest(*group, median(ways));
  row.overlap = under_way > 0 ? std::max(0.0, 1 - row.ms_wait / under_way) : 0;
  row.bytes_bound = bound_of(mode,
                             group->size(),
                             options.tasks,
                             static_cast<double>(bench.parameters),
                             static_cast<double>(bench.own_parameters));
  tensor::AllocationPeak counter;
  counter.restart();
  const std::int64_t still = counter.now();
  bench.forward();
  const std::int64_t activations = counter.peak() - still;
  ParallelBenchmark fresh(options, mode, group);
  fresh.step();
  counter.restart();
  const std::int64_t now = counter.now();
  fresh.step();
  row.gradient_bytes = std::max<std::int64_t>(0, counter.peak() - now - activations);
  return row;
}

}  // namespace

std::vector<std::string> mode_names() { return {"alone", "ddp", "features", "naive", "sharded"}; }

void ParallelBenchmarkOptions::describe(FieldVisitor& visitor) {
  visitor.choice_text("model", model, model_names(), "The network.");
  visitor.choice_text("input",
                      input,
                      {"multi", "single"},
                      "multi: each task has examples of its own; single: one batch for all tasks.");
  visitor.integer("tasks", tasks, {.min = 1, .max = 1000}, "Number of tasks.");
  visitor.integer("batch",
                  batch,
                  {.min = 1, .max = 1e6},
                  "Examples of each process, per task (multi) or in its one batch (single).");
  visitor.text("method", method, "The method, with its default options.");
  auto names = mode_names();
  names.insert(names.begin(), "all");
  visitor.choice_text("mode", mode, names, "How gradients are shared; all: each in turn.");
  visitor.integer("threads", threads, {.min = 1, .max = 1024}, "Threads of each process.");
  visitor.integer("steps", steps, {.min = 1, .max = 100000}, "Timed steps of each mode.");
}

ParallelBenchmarkResult measure_parallel(const ParallelBenchmarkOptions& given,
                                         const launch::Launch& launch) {
  ParallelBenchmarkOptions options = given;
  validate_fields([&](FieldVisitor& v) { options.describe(v); }, "[measure::parallel] option");
  const Threads threads(options.threads);
  std::shared_ptr<tensor::Group> group = std::make_shared<tensor::Group>();
  std::function<std::int64_t()> bytes_sent = [] { return std::int64_t{0}; };
  if (launch.size > 1) {
    const auto joined = parallel::ProcessGroup::join(launch);
    bytes_sent = [joined] { return joined->bytes_sent(); };
    group = joined;
  }
  ParallelBenchmarkResult result;
  result.world = group->size();
  tensor::translate_errors("measure::parallel", [&] {
    for (const std::string& mode : mode_names()) {
      if (options.mode != "all" && options.mode != mode) continue;
      result.rows.push_back(measure_mode(options, mode, group, bytes_sent, result));
    }
  });
  return result;
}

Json ParallelBenchmarkRow::to_json() const {
  return {{"mode", mode},
          {"ms_step", ms_step},
          {"ms_wait", ms_wait},
          {"bytes_sent", bytes_sent},
          {"bytes_bound", bytes_bound},
          {"gradient_bytes", gradient_bytes},
          {"overlap", overlap}};
}

}  // namespace detente::measure
