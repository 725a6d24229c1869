// SPDX-License-Identifier: Apache-2.0
// The time of one solve, for every method of the registry and several numbers of tasks: what a
// method adds to a training step besides its gradients.
#include <benchmark/benchmark.h>
#include <detente/balance/registry.h>
#include <detente/core/matrix.h>
#include <detente/core/rng.h>

#include <cstddef>
#include <string>
#include <vector>

namespace detente::balance {
namespace {

// Gradients in 3k dimensions that share a direction, so that some pairs agree and some conflict.
Matrix conflicting_gram(std::size_t k, Rng& rng) {
  const std::size_t p = 3 * k;
  Matrix jacobian(k, p);
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j < p; ++j) jacobian(i, j) = rng.normal() + 0.2;
  }
  Matrix gram(k, k);
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t l = 0; l < k; ++l) {
      for (std::size_t j = 0; j < p; ++j) gram(i, l) += jacobian(i, j) * jacobian(l, j);
    }
  }
  return gram;
}

void solve(benchmark::State& state, const std::string& name, std::size_t k) {
  constexpr std::size_t kProblems = 16;
  Rng rng(1);
  std::vector<Matrix> grams;
  for (std::size_t i = 0; i < kProblems; ++i) grams.push_back(conflicting_gram(k, rng));
  const std::vector<double> losses(k, 1.0);
  const auto method = make_method(name);
  Result result;
  std::size_t turn = 0;
  std::int64_t iterations = 0;
  for (auto _ : state) {
    method->solve(
        {.tasks = k, .gram = grams[turn++ % kProblems], .losses = losses, .names = {}, .rng = &rng},
        result);
    iterations += result.iterations;
    benchmark::DoNotOptimize(result.weights.data());
  }
  state.counters["solver_iterations"] =
      benchmark::Counter(static_cast<double>(iterations), benchmark::Counter::kAvgIterations);
}

}  // namespace
}  // namespace detente::balance

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  for (const auto& info : detente::balance::registry()) {
    for (const std::size_t k : {2, 3, 8, 20, 40}) {
      const std::string label = info.name + "/k:" + std::to_string(k);
      benchmark::RegisterBenchmark(label.c_str(), detente::balance::solve, info.name, k)
          ->Unit(benchmark::kMicrosecond);
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
