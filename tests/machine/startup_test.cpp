// SPDX-License-Identifier: Apache-2.0
#include <detente/machine/startup.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "example_facts.h"

namespace detente::machine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

bool computing(const std::vector<std::string>& args) { return computes(args); }

TEST(Startup, ChangesNothingWhereEverythingIsWell) {
  EXPECT_THAT(startup_cures(healthy_wheel()), IsEmpty());
  EXPECT_THAT(startup_cures(healthy_system()), IsEmpty());
  EXPECT_THAT(startup_cures(Facts{}), IsEmpty());
}

TEST(Startup, LetsThreadsWaitBrieflyWhereOpenMpIsLoaded) {
  Facts facts = healthy_wheel();
  facts.environment.clear();
  EXPECT_THAT(startup_cures(facts),
              ElementsAre(Pair("OMP_WAIT_POLICY", "passive"), Pair("GOMP_SPINCOUNT", "3000")));
  facts.environment = {{"OMP_WAIT_POLICY", "passive"}, {"GOMP_SPINCOUNT", "3000"}};
  EXPECT_EQ(openmp_wait(facts), OpenMpWait::kSpinBriefly) << "what it sets is what it means";
  facts.cpu.cores = 1;
  EXPECT_THAT(startup_cures(facts), IsEmpty());
}

TEST(Startup, RespectsWhatTheUserChose) {
  for (const auto& [name, value] : {std::pair{"OMP_WAIT_POLICY", "active"},
                                    std::pair{"GOMP_SPINCOUNT", "1000"},
                                    std::pair{"KMP_BLOCKTIME", "200"}}) {
    Facts facts = healthy_wheel();
    facts.environment = {{name, value}};
    EXPECT_THAT(startup_cures(facts), IsEmpty()) << name;
  }
  Facts facts = healthy_system();
  facts.blas.core = "Prescott";
  facts.environment["OPENBLAS_CORETYPE"] = "Prescott";
  EXPECT_THAT(startup_cures(facts), IsEmpty());
}

TEST(Startup, NamesTheProcessorToOpenBlas) {
  Facts facts = healthy_system();
  facts.blas.core = "Prescott";
  EXPECT_THAT(startup_cures(facts), ElementsAre(Pair("OPENBLAS_CORETYPE", "SkylakeX")));
  facts.cpu.avx512 = false;
  EXPECT_THAT(startup_cures(facts), ElementsAre(Pair("OPENBLAS_CORETYPE", "Haswell")));
}

TEST(Startup, LeavesCommandsAloneThatDoNotCompute) {
  EXPECT_TRUE(computing({"train", "r.yaml"}));
  EXPECT_TRUE(computing({"doctor"}));
  EXPECT_FALSE(computing({}));
  EXPECT_FALSE(computing({"--version"}));
  EXPECT_FALSE(computing({"methods", "cagrad"}));
  EXPECT_FALSE(computing({"train", "--help"}));
}

TEST(KeepFreedMemory, LeavesALargeFreedBlockWithTheProcess) {
#ifdef __GLIBC__
  keep_freed_memory();
  constexpr std::size_t kSize = std::size_t{64} << 20;
  void* block = std::malloc(kSize);
  ASSERT_NE(block, nullptr);
  // A block of its own mapping is counted apart, and vanishes when it is freed.
  EXPECT_EQ(mallinfo2().hblkhd, 0U);
  std::free(block);
#else
  GTEST_SKIP() << "glibc only";
#endif
}

}  // namespace
}  // namespace detente::machine
