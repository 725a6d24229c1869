// SPDX-License-Identifier: Apache-2.0
// The time and the heap allocations of one solve, for every method of the registry: what a method
// adds to a training step besides its gradients. `detente bench solve` measures more kinds of
// problems; this program is for following one method's numbers from change to change.
#include <benchmark/benchmark.h>
#include <detente/balance/random_problems.h>
#include <detente/balance/registry.h>

#include <cstddef>
#include <string>
#include <vector>

#include "tests/support/allocations.h"

namespace detente::balance {
namespace {

void solve(benchmark::State& state, const std::string& name, ProblemFamily family, std::size_t k) {
  constexpr std::size_t kProblems = 32;
  const auto problems = random_problems(family, k, kProblems, 1);
  const auto method = make_method(name);
  Rng rng(1);
  std::vector<double> direction;
  Result result;
  solve_any(*method, problems.back(), rng, direction, result);
  std::size_t turn = 0;
  double iterations = 0;
  const std::int64_t before = test::allocations();
  for (auto _ : state) {
    solve_any(*method, problems[turn++ % kProblems], rng, direction, result);
    iterations += result.iterations;
    benchmark::DoNotOptimize(result.weights.data());
  }
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(test::allocations() - before), benchmark::Counter::kAvgIterations);
  state.counters["iterations"] = benchmark::Counter(iterations, benchmark::Counter::kAvgIterations);
}

}  // namespace
}  // namespace detente::balance

int main(int argc, char** argv) {
  using namespace detente::balance;
  benchmark::Initialize(&argc, argv);
  for (const auto& info : registry()) {
    for (const ProblemFamily family : kProblemFamilies) {
      for (const std::size_t k : {2, 8, 50, 100}) {
        const std::string label = info.name + "/" + name_of(family) + "/k:" + std::to_string(k);
        benchmark::RegisterBenchmark(label.c_str(), solve, info.name, family, k)
            ->Unit(benchmark::kMicrosecond);
      }
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
