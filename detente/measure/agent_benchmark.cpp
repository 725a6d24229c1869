// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <detente/balance/registry.h>
#include <detente/control/agent.h>
#include <detente/core/error.h>
#include <detente/machine/process.h>
#include <detente/measure/agent_benchmark.h>
#include <detente/measure/engine_options.h>
#include <detente/measure/timing.h>
#include <detente/tensor/allocation_peak.h>
#include <detente/tensor/compat.h>
#include <torch/utils.h>

#include <algorithm>
#include <limits>

namespace detente::measure {
namespace {

constexpr int kUntimed = 3;
constexpr std::int64_t kObservation = 39;
constexpr std::int64_t kAction = 4;

control::Agent make_agent(const StepBenchmarkOptions& options) {
  control::AgentShape shape{.observation = kObservation, .action = kAction};
  for (std::int64_t k = 0; k < options.tasks; ++k) {
    shape.tasks.push_back("task" + std::to_string(k));
  }
  const auto made = [&] { return balance::make_method(options.method); };
  Rng rng(options.seed);
  return control::Agent(std::move(shape),
                        control::AgentOptions{},
                        {made(), made(), made()},
                        engine_options_of(options),
                        rng,
                        tensor::parse_device(options.device));
}

// The same with another method and strategy.
StepBenchmarkOptions with(StepBenchmarkOptions options,
                          const std::string& method,
                          const std::string& strategy) {
  options.method = method;
  options.strategy = strategy;
  return options;
}

control::Transitions random_transitions(const StepBenchmarkOptions& options) {
  torch::manual_seed(static_cast<std::int64_t>(options.seed));
  const std::int64_t rows = options.tasks * options.batch;
  const auto place =
      tensor::tensor_options(tensor::parse_device(options.device), tensor::DType::kFloat32);
  return {.observations = at::randn({rows, kObservation}).to(place.device()),
          .actions = at::rand({rows, kAction}).to(place.device()) * 2 - 1,
          .rewards = at::rand({rows}).to(place.device()),
          .next_observations = at::randn({rows, kObservation}).to(place.device()),
          .continues = at::ones({rows}, place),
          .counts = control::TaskCounts(static_cast<std::size_t>(options.tasks), options.batch)};
}

void check_agent_options(const StepBenchmarkOptions& options) {
  const StepBenchmarkOptions usual;
  DETENTE_CHECK(options.input == usual.input && options.optimizer == usual.optimizer &&
                    options.gram_rows == 0 && options.gram_precision == usual.gram_precision &&
                    options.gram_sketch == 0,
                ErrorCode::kInvalidArgument,
                "[measure::step] {} has examples of its own for each task, its own Adam and exact "
                "gradients; leave out --input, --optimizer and --gram-*.",
                options.model);
}

// What the tensors of an update take at its peak beyond the agent and the batch.
std::int64_t peak_of(const StepBenchmarkOptions& options) {
  tensor::AllocationPeak counter;
  control::Agent agent = make_agent(options);
  const control::Transitions batch = random_transitions(options);
  Rng rng(options.seed);
  for (int i = 0; i < 2; ++i) agent.update(batch, rng);
  const std::int64_t before = counter.now();
  counter.restart();
  agent.update(batch, rng);
  return counter.peak() - before;
}

}  // namespace

std::vector<std::string> agent_model_names() { return {"sac_mt10", "sac_mt50"}; }

StepBenchmarkResult measure_agent_update(
    const StepBenchmarkOptions& options,
    const std::function<void(std::int64_t, std::int64_t)>& progress) {
  check_agent_options(options);
  StepBenchmarkResult result;
  result.load_before = machine::look_at_process().cpu.load;
  const tensor::Device device = tensor::parse_device(options.device);
  control::Agent plain = make_agent(with(options, "ew", "auto"));
  control::Agent passes = make_agent(with(options, options.method, "sequential"));
  control::Agent ours = make_agent(options);
  const control::Transitions batch = random_transitions(options);
  Rng rng(options.seed);
  const control::UpdateReport* report = nullptr;
  const auto timed = [&](control::Agent& agent) {
    tensor::synchronize(device);
    const double start = now_ms();
    report = &agent.update(batch, rng);
    tensor::synchronize(device);
    return now_ms() - start;
  };
  std::vector<double> plain_ms, floor_ms, ours_ms, backward, solve;
  for (std::int64_t i = -kUntimed; i < options.steps; ++i) {
    const double a = timed(plain);
    const double b = timed(passes);
    const double c = timed(ours);
    if (progress) progress(i + kUntimed + 1, options.steps + kUntimed);
    if (i < 0) continue;
    plain_ms.push_back(a);
    floor_ms.push_back(b);
    ours_ms.push_back(c);
    double passes_ms = 0;
    double solving_ms = 0;
    for (const engine::StepReport* part : {report->critic, report->actor, report->temperature}) {
      passes_ms += part->backward_ms;
      solving_ms += part->solve_ms;
    }
    backward.push_back(passes_ms);
    solve.push_back(solving_ms);
  }
  result.ms_plain = median(plain_ms);
  result.ms_floor = median(floor_ms);
  result.ms_method = median(ours_ms);
  result.ratio = result.ms_method / result.ms_plain;
  result.ratio_floor = result.ms_method / result.ms_floor;
  result.ms_backward = median(backward);
  result.ms_solve = median(solve);
  result.ms_forward = result.ms_method - result.ms_backward - result.ms_solve;
  result.plain_min = *std::min_element(plain_ms.begin(), plain_ms.end());
  result.method_min = *std::min_element(ours_ms.begin(), ours_ms.end());
  result.plain_peak_bytes = peak_of(with(options, "ew", options.strategy));
  result.peak_bytes = peak_of(options);
  result.parameters = ours.parameter_count();
  result.strategy = engine::name_of(report->critic->strategy);
  result.notice = report->critic->notice;
  result.estimate_cosine = std::numeric_limits<double>::quiet_NaN();
  result.load_after = machine::look_at_process().cpu.load;
  return result;
}

}  // namespace detente::measure
