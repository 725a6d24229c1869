// SPDX-License-Identifier: Apache-2.0
#include <detente/machine/facts.h>
#include <gtest/gtest.h>

#include "example_facts.h"

namespace detente::machine {
namespace {

TEST(Facts, KnowsALibraryByItsStem) {
  EXPECT_TRUE(is_library("/a/libgomp.so.1", "libgomp"));
  EXPECT_TRUE(is_library("/a/libgomp-a34b3233.so.1", "libgomp"));
  EXPECT_TRUE(is_library("libtorch_cpu.so", "libtorch_cpu"));
  EXPECT_FALSE(is_library("/a/libgomp", "libgomp"));
  EXPECT_FALSE(is_library("/libgomp.so/libother.so", "libgomp"));
  EXPECT_FALSE(is_library("/a/libblasfeo.so", "libblas"));
}

TEST(Facts, SeesEveryWordForWaitingThreads) {
  Facts facts;
  EXPECT_EQ(openmp_wait(facts), OpenMpWait::kSpin);
  facts.environment["OMP_WAIT_POLICY"] = "active";
  EXPECT_EQ(openmp_wait(facts), OpenMpWait::kSpin);
  for (const auto& [name, value] : {std::pair{"OMP_WAIT_POLICY", "PASSIVE"},
                                    std::pair{"GOMP_SPINCOUNT", "0"},
                                    std::pair{"KMP_BLOCKTIME", "0"}}) {
    facts.environment = {{name, value}};
    EXPECT_EQ(openmp_wait(facts), OpenMpWait::kSleep) << name;
  }
  // GNU's runtime looks at the count first.
  for (const char* policy : {"active", "passive", ""}) {
    facts.environment = {{"OMP_WAIT_POLICY", policy}, {"GOMP_SPINCOUNT", "3000"}};
    EXPECT_EQ(openmp_wait(facts), OpenMpWait::kSpinBriefly) << policy;
    facts.environment["GOMP_SPINCOUNT"] = "300000";
    EXPECT_EQ(openmp_wait(facts), OpenMpWait::kSpin) << policy;
  }
  // A count that cannot be read does not count.
  facts.environment = {{"OMP_WAIT_POLICY", "passive"}, {"GOMP_SPINCOUNT", "3000 times"}};
  EXPECT_EQ(openmp_wait(facts), OpenMpWait::kSleep);
}

TEST(Facts, KeepsEverythingInJson) {
  const Json json = to_json(healthy_system());
  EXPECT_EQ(json["engine"]["version"], "2.9.1");
  EXPECT_EQ(json["engine"]["gflops_one_thread"], 120.0);
  EXPECT_EQ(json["blas"]["kind"], "openblas");
  EXPECT_EQ(json["blas"]["core"], "Cooperlake");
  EXPECT_EQ(json["blas"]["threads"], "openmp");
  EXPECT_EQ(json["libraries"].size(), 5U);
  EXPECT_EQ(json["environment"]["OMP_WAIT_POLICY"], "passive");
  EXPECT_EQ(json["cpu"]["cores"], 2);
}

TEST(Facts, SayNullForAProgramWithoutEngine) { EXPECT_TRUE(to_json(Facts{})["engine"].is_null()); }

}  // namespace
}  // namespace detente::machine
