// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/measure/models.h>
#include <detente/measure/step_benchmark.h>
#include <gtest/gtest.h>

#include <cmath>

namespace detente::measure {
namespace {

StepBenchmarkOptions small_benchmark() {
  return {.model = "mlp", .tasks = 3, .batch = 4, .steps = 2};
}

TEST(BenchmarkModels, HaveOneLossPerTaskOnAnyPartOfTheBatch) {
  for (const std::string& name : model_names()) {
    SCOPED_TRACE(name);
    const BenchmarkModel model = make_model(name, false, 2, 2, 1, {}, 0.01);
    EXPECT_EQ(model.own.size(), 2U);
    for (const std::int64_t rows : {0, 1}) {
      const TensorList losses = model.losses(rows);
      ASSERT_EQ(losses.size(), 2U);
      EXPECT_TRUE(losses[0].requires_grad());
      EXPECT_TRUE(std::isfinite(losses[1].item<double>()));
    }
  }
}

TEST(BenchmarkModels, RefuseUnknownNamesAndCases) {
  EXPECT_THROW(make_model("mpl", true, 2, 2, 1), Error);
  EXPECT_THROW(make_model("mlp", true, 0, 2, 1), Error);
  EXPECT_THROW(make_model("siamese", true, 2, 2, 1), Error);
  EXPECT_THROW(make_model("segnet_mtan", true, 3, 2, 1), Error);
}

// 44,229,073 parameters in all (nn/mtan_trunk.h), of which attention and heads belong to one task each.
TEST(BenchmarkModels, SegNetWithAttentionIsThePublishedNetwork) {
  const BenchmarkModel model = make_model("segnet_mtan", false, 3, 2, 1, {}, 0.01);
  std::int64_t count = 0;
  for (const at::Tensor& tensor : model.shared) count += tensor.numel();
  for (const TensorList& own : model.own) {
    EXPECT_GT(own.size(), 4U);
    for (const at::Tensor& tensor : own) count += tensor.numel();
  }
  EXPECT_EQ(count, 44229073);
}

TEST(StepBenchmark, MeasuresAnAgentsUpdate) {
  StepBenchmarkOptions options{.model = "sac_mt10", .tasks = 2, .batch = 4, .steps = 2};
  const auto result = measure_step(options, {});
  EXPECT_EQ(result.strategy, "segmented");
  EXPECT_GT(result.ms_plain, 0);
  EXPECT_NEAR(result.ratio, result.ms_method / result.ms_plain, 1e-9);
  EXPECT_GT(result.ms_forward, 0);
  // Two critics and an actor of 400-400-400, and a temperature.
  const std::int64_t hidden = 2 * (400 * 400 + 400);
  EXPECT_EQ(result.parameters,
            2 * (43 * 400 + 400 + hidden + 401) + (39 * 400 + 400 + hidden + 8 * 401) + 1);
  options.input = "single";
  EXPECT_THROW(measure_step(options, {}), Error);
}

TEST(StepBenchmark, MeasuresEveryPartOfAMultiInputStep) {
  std::int64_t last = 0;
  const auto result =
      measure_step(small_benchmark(), [&](std::int64_t done, std::int64_t) { last = done; });
  EXPECT_EQ(last, 5);
  EXPECT_EQ(result.strategy, "segmented");
  EXPECT_EQ(result.notice, "");
  EXPECT_GT(result.ms_plain, 0);
  EXPECT_NEAR(result.ratio, result.ms_method / result.ms_plain, 1e-12);
  EXPECT_LE(result.ms_forward + result.ms_backward + result.ms_solve, 2 * result.ms_method);
  EXPECT_TRUE(std::isnan(result.ms_floor)) << "no such floor with several inputs";
  EXPECT_EQ(result.parameters, 39 * 400 + 400 + 2 * (400 * 400 + 400));
}

TEST(StepBenchmark, MeasuresTheFloorOfASingleInputStep) {
  StepBenchmarkOptions options = small_benchmark();
  options.input = "single";
  const auto result = measure_step(options, {});
  EXPECT_GT(result.ms_floor, 0);
  EXPECT_NE(result.strategy, "segmented");
}

// LibTorch 2 warns when a block is freed that the counter has not seen: one made on another thread.
TEST(StepBenchmark, CountsTheMemoryOfAllThreads) {
  StepBenchmarkOptions options = small_benchmark();
  options.model = "transformer";
  options.input = "single";
  options.tasks = 2;  // both passes at once, on a thread each
  options.threads = 2;
  testing::internal::CaptureStderr();
  measure_step(options, {});
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(StepBenchmark, TellsHowGoodAnEstimateIs) {
  StepBenchmarkOptions options = small_benchmark();
  options.input = "single";
  options.gram_rows = 0.5;
  options.method = "mgda";
  const auto result = measure_step(options, {});
  EXPECT_EQ(result.strategy, "weighted");
  EXPECT_GT(result.estimate_cosine, 0);
  EXPECT_LE(result.estimate_cosine, 1.0 + 1e-12);
}

TEST(StepBenchmark, EstimatesInMixedPrecision) {
  StepBenchmarkOptions options = small_benchmark();
  options.input = "single";
  options.gram_precision = "bf16";
  options.method = "mgda";
  const auto result = measure_step(options, {});
  EXPECT_EQ(result.strategy, "weighted");
  EXPECT_GT(result.estimate_cosine, 0.99);
}

TEST(StepBenchmark, CountsTheMemoryOfGradients) {
  StepBenchmarkOptions options = small_benchmark();
  options.input = "single";
  options.tasks = 6;
  options.strategy = "sequential";
  const auto fast = measure_step(options, {});
  options.strategy = "auto";
  options.memory = "low";
  const auto low = measure_step(options, {});
  const std::int64_t gradient = 4 * fast.parameters;
  EXPECT_EQ(fast.plain_peak_bytes, low.plain_peak_bytes) << "counted, not measured";
  EXPECT_GE(fast.peak_bytes, 7 * gradient);
  EXPECT_LT(low.peak_bytes, fast.plain_peak_bytes + 3 * gradient);
}

TEST(StepBenchmark, RefusesBadOptions) {
  StepBenchmarkOptions options = small_benchmark();
  options.steps = 0;
  EXPECT_THROW(measure_step(options, {}), Error);
  options = small_benchmark();
  options.strategy = "weighted";  // cagrad needs gradients
  EXPECT_THROW(measure_step(options, {}), Error);
}

}  // namespace
}  // namespace detente::measure
