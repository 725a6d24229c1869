// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/measure/kernel_benchmark.h>
#include <detente/simd/target.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

namespace detente::measure {
namespace {

TEST(KernelBenchmark, TimesEveryTargetBesideLibTorch) {
  const simd::Target before = simd::target();
  std::int64_t last = 0;
  const auto rows = measure_kernels({.kernels = {"relu_rows", "narrow_product"}, .seconds = 0},
                                    [&](std::int64_t done, std::int64_t) { last = done; });
  std::map<std::string, std::set<std::string>> targets;  // of each kernel and shape
  for (const KernelTime& row : rows) {
    targets[row.kernel + row.shape].insert(row.target);
    EXPECT_GT(row.ms, 0);
    EXPECT_GT(row.gflops, 0);
    EXPECT_GT(row.gbs, 0);
    EXPECT_GT(row.ms_libtorch, 0);
    for (const char* key : {"kernel", "shape", "target", "ms", "gflops", "gbs", "ms_libtorch"}) {
      EXPECT_TRUE(row.to_json().contains(key)) << key;
    }
  }
  EXPECT_EQ(static_cast<std::size_t>(last), targets.size());
  for (const auto& [name, all] : targets) {
    EXPECT_EQ(all.size(), simd::available_targets().size()) << name;
  }
  EXPECT_EQ(simd::target(), before);
}

TEST(KernelBenchmark, RefusesAnUnknownKernel) {
  EXPECT_THROW(measure_kernels({.kernels = {"gramm"}}, {}), Error);
}

}  // namespace
}  // namespace detente::measure
