// SPDX-License-Identifier: Apache-2.0
// Every strategy on the zoo of layers, on a device: its Gram matrix and what it writes, against plain
// backward passes in double on the CPU.
#include <detente/measure/step_benchmark.h>
#include <detente/tensor/autocast.h>
#include <gmock/gmock.h>
#include <tests/engine/zoo.h>

#include <cmath>
#include <string>

#include "device_under_test.h"

namespace detente::gpu {
namespace {

using engine::MultiTaskBackward;
using engine::MultiTaskOptions;
using engine::Strategy;
using engine::zoo::Cut;
using engine::zoo::Outcome;
using engine::zoo::Tasks;
using engine::zoo::Zoo;

// In place, because the model's functions hold the same tensors.
void move(Tasks& tasks, at::Device place) {
  if (tasks.trunk.keep) tasks.trunk.keep->to(place);
  for (const auto& parameter : tasks.all()) parameter.set_data(parameter.to(place));
  tasks.trunk.input = tasks.trunk.input.to(place);
}

class Strategies : public DeviceTest {
 protected:
  at::Device place() const { return there(torch::zeros({1})).device(); }

  void expect_plain_gradients(Tasks& tasks, const Outcome& outcome, double tolerance) {
    // Dropout draws other numbers on another device, so that one is compared with itself.
    tensor::clear_gradients(tasks.all());
    if (!dropout_) move(tasks, at::kCPU);
    const at::Tensor rows = engine::zoo::plain_rows(tasks).cpu();
    const at::Tensor gram = rows.mm(rows.t());
    const at::Tensor norms = rows.norm(2, 1);
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::size_t j = 0; j < 3; ++j) {
        const auto a = static_cast<std::int64_t>(i);
        const auto b = static_cast<std::int64_t>(j);
        EXPECT_NEAR(outcome.report.gram(i, j),
                    gram[a][b].item<double>(),
                    tolerance * (norms[a] * norms[b]).item<double>());
      }
    }
    const at::Tensor direction = rows.t().mv(torch::tensor(outcome.report.weights, torch::kDouble));
    std::int64_t offset = 0;
    for (std::size_t p = 0; p < tasks.trunk.parameters.size(); ++p) {
      const at::Tensor expected = direction.narrow(0, offset, tasks.trunk.parameters[p].numel());
      offset += expected.numel();
      if (!outcome.gradients[p].defined()) {
        EXPECT_EQ(expected.abs().max().item<double>(), 0.0) << "parameter " << p;
        continue;
      }
      EXPECT_EQ(outcome.gradients[p].device().type(), place().type());
      const at::Tensor got = engine::zoo::in_full(outcome.gradients[p]).cpu().to(torch::kDouble);
      EXPECT_LE((got.reshape(-1) - expected).abs().max().item<double>(),
                tolerance * direction.abs().max().item<double>())
          << "parameter " << p << " of shape " << tasks.trunk.parameters[p].sizes();
    }
  }

  void try_zoo(torch::Dtype type, double tolerance) {
    for (const Zoo& entry : engine::zoo::models()) {
      dropout_ = std::string(entry.name) == "wide_rows";
      for (const Cut cut : {Cut::kSlices, Cut::kGivenRows, Cut::kSingleInput}) {
        for (const Strategy strategy :
             {Strategy::kAuto, Strategy::kSequential, Strategy::kGhost, Strategy::kLockstep}) {
          SCOPED_TRACE(testing::Message() << entry.name << ", cut " << static_cast<int>(cut) << ", "
                                          << engine::name_of(strategy));
          Tasks tasks({entry, cut, type});
          move(tasks, place());
          const bool low = strategy == Strategy::kLockstep;
          const Outcome outcome = engine::zoo::run(
              tasks,
              low ? Strategy::kAuto : strategy,
              "upgrad",
              low ? MultiTaskOptions::Memory::kLow : MultiTaskOptions::Memory::kFast);
          if (strategy == Strategy::kAuto && cut != Cut::kSingleInput && entry.segmentable) {
            EXPECT_EQ(outcome.report.strategy, Strategy::kSegmented) << outcome.report.notice;
          }
          expect_plain_gradients(tasks, outcome, tolerance);
        }
      }
    }
  }

  bool dropout_ = false;
};

TEST_F(Strategies, MatchPlainPassesInDouble) { try_zoo(torch::kDouble, 1e-9); }
TEST_F(Strategies, MatchPlainPassesInFloat) { try_zoo(torch::kFloat, 1e-4); }

TEST_F(Strategies, WeightedAndSequentialPasses) {
  for (const char* method : {"ew", "upgrad"}) {
    const bool weighted = std::string(method) == "ew";
    Tasks tasks({{"mlp", engine::zoo::make_mlp}, Cut::kSingleInput, torch::kDouble});
    move(tasks, place());
    MultiTaskBackward backward(
        tasks.trunk.parameters,
        tasks.heads,
        balance::make_method(method),
        tasks.names,
        {.strategy = weighted ? Strategy::kWeighted : Strategy::kSequential});
    Rng rng(3);
    Outcome outcome;
    outcome.report = backward(tasks.losses(), rng);
    outcome.gradients = tasks.gradients();
    EXPECT_EQ(outcome.report.strategy, weighted ? Strategy::kWeighted : Strategy::kSequential);
    const at::Tensor direction = engine::zoo::plain_rows(tasks).cpu().t().mv(
        torch::tensor(outcome.report.weights, torch::kDouble));
    std::int64_t offset = 0;
    for (std::size_t p = 0; p < tasks.trunk.parameters.size(); ++p) {
      const std::int64_t n = tasks.trunk.parameters[p].numel();
      EXPECT_TRUE(torch::allclose(
          outcome.gradients[p].cpu().reshape(-1), direction.narrow(0, offset, n), 1e-9, 1e-12));
      offset += n;
    }
  }
}

TEST_F(Strategies, MixedPrecisionStaysNearFullPrecision) {
  for (const auto type : {tensor::LowPrecision::kBFloat16, tensor::LowPrecision::kFloat16}) {
    Tasks tasks({{"mlp", engine::zoo::make_mlp}, Cut::kSlices, torch::kFloat});
    move(tasks, place());
    const at::Tensor rows = engine::zoo::plain_rows(tasks).cpu();
    MultiTaskBackward backward(tasks.trunk.parameters,
                               tasks.heads,
                               balance::make_method("ew"),
                               tasks.names,
                               {.strategy = Strategy::kAuto, .diagnose_every = 1});
    TensorList losses;
    {
      const tensor::Autocast autocast(device, type);
      losses = tasks.losses();
    }
    Rng rng(3);
    const auto report = backward(losses, rng);
    for (std::int64_t i = 0; i < 3; ++i) {
      const double expected = rows[i].dot(rows[i]).item<double>();
      EXPECT_NEAR(report.gram(static_cast<std::size_t>(i), static_cast<std::size_t>(i)),
                  expected,
                  0.1 * expected);
    }
    for (const auto& parameter : tasks.trunk.parameters) {
      EXPECT_EQ(parameter.grad().scalar_type(), torch::kFloat);
    }
  }
}

TEST_F(Strategies, TheStepBenchmarkRunsThere) {
  for (const char* input : {"multi", "single"}) {
    for (const char* model : {"mlp", "cnn", "transformer"}) {
      SCOPED_TRACE(testing::Message() << model << ", " << input);
      const auto result = measure::measure_step({.model = model,
                                                 .input = input,
                                                 .tasks = 3,
                                                 .batch = 4,
                                                 .device = device.text(),
                                                 .steps = 2},
                                                {});
      EXPECT_GT(result.ms_plain, 0);
      EXPECT_GT(result.ms_method, 0);
      EXPECT_GT(result.peak_bytes, 4 * result.parameters);
    }
  }
}

}  // namespace
}  // namespace detente::gpu
