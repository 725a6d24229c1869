// SPDX-License-Identifier: Apache-2.0
#include <detente/machine/process.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

namespace detente::machine {
namespace {

TEST(Process, SeesTheProcessorAsTheKernelDoes) {
  std::stringstream text;
  text << std::ifstream("/proc/cpuinfo").rdbuf();
  const Cpu cpu = look_at_process().cpu;
  EXPECT_GE(cpu.cores, 1);
  EXPECT_GE(cpu.load, 0.0);
  EXPECT_NE(text.str().find(cpu.model), std::string::npos);
#if defined(__x86_64__)
  EXPECT_EQ(cpu.avx2, text.str().find(" avx2 ") != std::string::npos);
  EXPECT_EQ(cpu.avx512, text.str().find(" avx512vl ") != std::string::npos);
#endif
}

TEST(Process, FindsNoEngineWhereNoneIsLinked) {
  const Facts facts = look_at_process();
  for (const auto& path : facts.libraries) EXPECT_FALSE(is_library(path, "libtorch")) << path;
  EXPECT_FALSE(facts.engine.has_value());
  EXPECT_EQ(facts.blas.kind, Blas::kNone);
}

TEST(Process, ReadsTheVariablesThatAreSet) {
  setenv("GOMP_SPINCOUNT", "17", 1);
  unsetenv("KMP_BLOCKTIME");
  const Facts facts = look_at_process();
  EXPECT_EQ(facts.variable("GOMP_SPINCOUNT"), "17");
  EXPECT_EQ(facts.environment.count("KMP_BLOCKTIME"), 0U);
  unsetenv("GOMP_SPINCOUNT");
}

TEST(PeakMemory, CountsWhatWasTouchedAndNeverFalls) {
  EXPECT_GT(peak_memory_mib(), 0);
  std::vector<char> block(std::size_t{256} << 20U, 1);
  EXPECT_EQ(block.back(), 1);
  const double peak = peak_memory_mib();
  EXPECT_GE(peak, 256);
  block = {};
  EXPECT_GE(peak_memory_mib(), peak);
}

}  // namespace
}  // namespace detente::machine
