// SPDX-License-Identifier: Apache-2.0
#include <ATen/Parallel.h>
#include <detente/doctor/engine.h>
#include <detente/machine/findings.h>
#include <detente/machine/process.h>
#include <gtest/gtest.h>
#include <torch/version.h>

#include <filesystem>

namespace detente::doctor {
namespace {

TEST(Engine, IsTheOneThisProgramWasBuiltWith) {
  const machine::Facts facts = machine::look_at_process();
  const machine::Engine engine = look_at_engine(facts.libraries, 1);
  EXPECT_EQ(engine.version, TORCH_VERSION);
  EXPECT_EQ(engine.built_version, TORCH_VERSION);
  EXPECT_FALSE(engine.origin.empty());
  EXPECT_TRUE(std::filesystem::exists(engine.built_folder)) << engine.built_folder;
  EXPECT_TRUE(engine.folder.starts_with(std::filesystem::canonical(engine.built_folder).string()))
      << engine.folder << " against " << engine.built_folder;
}

TEST(Engine, IsMeasuredAndLeftAsItWas) {
  const machine::Facts facts = machine::look_at_process();
  at::set_num_threads(1);
  const machine::Engine engine = look_at_engine(facts.libraries, 2);
  EXPECT_EQ(at::get_num_threads(), 1);
  EXPECT_GT(engine.gflops_one, 0.1);
  EXPECT_GT(engine.gflops_all, 0.1);
  EXPECT_LT(engine.gflops_one, 1e4);
}

TEST(Engine, IsNoMixOfTwo) {
  machine::Facts facts = machine::look_at_process();
  facts.engine = look_at_engine(facts.libraries, 1);
  for (const auto& finding : machine::judge(facts)) {
    EXPECT_NE(finding.name, "two_engines") << finding.message;
    EXPECT_NE(finding.name, "engine_version") << finding.message;
  }
}

}  // namespace
}  // namespace detente::doctor
