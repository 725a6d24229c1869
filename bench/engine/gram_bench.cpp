// SPDX-License-Identifier: Apache-2.0
// What stands between a plain backward pass and a balanced one: a batched weight gradient in place
// of one large product, the Gram matrix of K long rows, their weighted sum. Whole steps are
// measured by `detente bench step` and bench/engine/steps.py.
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <benchmark/benchmark.h>
#include <detente/tensor/gram.h>

namespace {

constexpr std::int64_t kWidth = 400;
constexpr std::int64_t kExamples = 128;  // per task

void gram_of_rows(benchmark::State& state) {
  at::set_num_threads(1);
  const at::Tensor rows = at::randn({state.range(0), kWidth * kWidth});
  for (auto _ : state) benchmark::DoNotOptimize(detente::tensor::gram(rows));
}
BENCHMARK(gram_of_rows)->Arg(2)->Arg(10)->Arg(50)->Unit(benchmark::kMicrosecond);

void weighted_sum_of_rows(benchmark::State& state) {
  at::set_num_threads(1);
  const at::Tensor rows = at::randn({state.range(0), kWidth * kWidth});
  const at::Tensor weights = at::rand({state.range(0)});
  at::Tensor sum = at::empty({kWidth * kWidth});
  for (auto _ : state) at::mv_out(sum, rows.t(), weights);
}
BENCHMARK(weighted_sum_of_rows)->Arg(2)->Arg(10)->Arg(50)->Unit(benchmark::kMicrosecond);

void weight_gradient_of_all(benchmark::State& state) {
  at::set_num_threads(1);
  const at::Tensor x = at::randn({state.range(0) * kExamples, kWidth});
  const at::Tensor delta = at::randn({state.range(0) * kExamples, kWidth});
  at::Tensor result = at::empty({kWidth, kWidth});
  for (auto _ : state) at::mm_out(result, delta.t(), x);
}
BENCHMARK(weight_gradient_of_all)->Arg(2)->Arg(10)->Arg(50)->Unit(benchmark::kMicrosecond);

void weight_gradient_per_task(benchmark::State& state) {
  at::set_num_threads(1);
  const at::Tensor x = at::randn({state.range(0), kExamples, kWidth});
  const at::Tensor delta = at::randn({state.range(0), kExamples, kWidth});
  at::Tensor result = at::empty({state.range(0), kWidth, kWidth});
  for (auto _ : state) at::bmm_out(result, delta.transpose(1, 2), x);
}
BENCHMARK(weight_gradient_per_task)->Arg(2)->Arg(10)->Arg(50)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
