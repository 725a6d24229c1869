// SPDX-License-Identifier: Apache-2.0
// Whole runs in the native environment.
#include <detente/control/recipe.h>
#include <detente/control/trainer.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/report/run_record.h>
#include <detente/train/run_observer.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace detente::control {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kSmall = R"(worlds: {environment: "point-mass:3", horizon: 10}
threads: 1
agent: {widths: [16]}
balance: {critic: {method: cagrad}, actor: {method: pcgrad}}
replay: {capacity: 500, sampling: stratified}
train: {steps: 120, batch_size: 24, first_steps: 20, log_every: 10, evaluate_every: 40, episodes: 2}
output: {tensorboard: false}
)";

class TrainControl : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        fs::path(testing::TempDir()) /
        ("control_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    write_file_atomic(folder_ / "small.yaml", kSmall);
  }
  void TearDown() override { fs::remove_all(folder_); }

  TrainOutcome train(const std::string& out,
                     const std::vector<std::string>& overrides = {},
                     train::ExistingRun existing = train::ExistingRun::kRefuse) {
    const Recipe recipe = load_recipe(folder_ / "small.yaml", overrides);
    return control::train(
        recipe,
        {.out = folder_ / out, .existing = existing, .progress = train::Progress::Style::kNone},
        log_);
  }
  std::string file(const std::string& out, const std::string& name) const {
    return read_file(folder_ / out / name);
  }
  // The log without times.
  std::vector<Json> lines(const std::string& out) const {
    std::vector<Json> all;
    std::istringstream text(file(out, "metrics.jsonl"));
    for (std::string line; std::getline(text, line);) {
      Json json = Json::parse(line);
      for (const char* key : {"ms", "seconds", "examples_per_second"}) json.erase(key);
      all.push_back(std::move(json));
    }
    return all;
  }

  fs::path folder_;
  std::ostringstream log_;
};

TEST_F(TrainControl, WritesTheFilesOfARun) {
  const TrainOutcome outcome = train("run");
  EXPECT_FALSE(outcome.interrupted);
  EXPECT_EQ(outcome.summary["steps"], 120);
  EXPECT_EQ(outcome.summary["updates"], 20 + 100);
  EXPECT_EQ(outcome.summary["epochs"], 3);
  EXPECT_EQ(outcome.summary["method"], "critic cagrad, actor pcgrad, temperature ew");
  EXPECT_EQ(outcome.summary["tasks"].size(), 3U);
  EXPECT_EQ(Json::parse(file("run", "summary.json")), outcome.summary);
  for (const char* name :
       {"report.html", "recipe.yaml", "model.safetensors", "replay/step-120.safetensors"}) {
    EXPECT_TRUE(fs::exists(folder_ / "run" / name)) << name;
  }
  // The replay of snapshots that are gone is gone.
  EXPECT_FALSE(fs::exists(folder_ / "run" / "replay" / "step-40.safetensors"));
  int steps = 0;
  int epochs = 0;
  for (const Json& line : lines("run")) {
    steps += report::record_type(line) == report::RecordType::kStep ? 1 : 0;
    epochs += report::record_type(line) == report::RecordType::kEpoch ? 1 : 0;
  }
  EXPECT_EQ(steps, 11);  // at 20, 30, ..., 120
  EXPECT_EQ(epochs, 3);
}

TEST_F(TrainControl, TwoRunsAreTheSameAndAnotherSeedIsAnother) {
  train("a");
  train("b");
  train("c", {"seed=1"});
  EXPECT_EQ(file("a", "model.safetensors"), file("b", "model.safetensors"));
  EXPECT_EQ(lines("a"), lines("b"));
  EXPECT_NE(lines("a"), lines("c"));
}

// Stopped after 60 steps, in the middle of an episode and between two evaluations.
TEST_F(TrainControl, GoesOnToTheBit) {
  train("whole");
  train("parts", {"train.steps=65"});
  train("parts", {}, train::ExistingRun::kResume);
  // The first part ends with an evaluation of its own.
  const auto learned = [&](const std::string& out) {
    std::vector<Json> all;
    for (Json& line : lines(out)) {
      if (report::record_type(line) != report::RecordType::kStep) continue;
      line.erase("epoch");
      all.push_back(std::move(line));
    }
    return all;
  };
  EXPECT_EQ(learned("whole"), learned("parts"));
  const std::string replay = "replay/step-120.safetensors";
  EXPECT_EQ(file("whole", replay), file("parts", replay));
}

TEST_F(TrainControl, RefusesAnotherRecipeAndAnotherRun) {
  train("run", {"train.steps=40"});
  EXPECT_THROW(train("run"), Error);
  try {
    train("run", {"agent.discount=0.5"}, train::ExistingRun::kResume);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("agent.discount: 0.99 -> 0.5"));
  }
  write_file_atomic(folder_ / "run" / "replay" / "mine.txt", "mine");
  train("run", {"train.steps=40", "seed=3"}, train::ExistingRun::kForce);
  EXPECT_EQ(file("run", "replay/mine.txt"), "mine");
}

TEST_F(TrainControl, ADamagedReplayIsNamed) {
  train("run", {"train.steps=40"});
  const fs::path replay = folder_ / "run" / "replay" / "step-40.safetensors";
  fs::resize_file(replay, fs::file_size(replay) - 9);
  try {
    train("run", {}, train::ExistingRun::kResume);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("step-40.safetensors"));
  }
}

TEST_F(TrainControl, SaysWhatIsWrongWithARecipe) {
  const auto refusal = [&](const std::vector<std::string>& overrides) -> std::string {
    try {
      load_recipe(folder_ / "small.yaml", overrides);
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  };
  EXPECT_EQ(refusal({}), "");
  EXPECT_THAT(refusal({"worlds.environment=''"}), HasSubstr("worlds.environment"));
  EXPECT_THAT(refusal({"balance.actor.method=cagard"}), HasSubstr("cagrad"));
  EXPECT_THAT(refusal({"replay.capacity=3"}), HasSubstr("less than one batch"));
  EXPECT_THAT(refusal({"engine.strategy=features"}), HasSubstr("features"));
  EXPECT_THAT(refusal({"agent.width=3"}), HasSubstr("widths"));
  EXPECT_THAT(refusal({"balance.actor.method=uw"}),
              HasSubstr("balance.actor.method is uw, which refuses negative losses"));
  EXPECT_THAT(refusal({"balance.temperature.method=dwa"}),
              HasSubstr("the loss of the temperature"));
  EXPECT_EQ(refusal({"balance.critic.method=uw", "balance.actor.method=cagrad"}), "");
  EXPECT_TRUE(is_control_recipe(folder_ / "small.yaml"));
  write_file_atomic(folder_ / "other.yaml", "data: {kind: table}\n");
  EXPECT_FALSE(is_control_recipe(folder_ / "other.yaml"));
  write_file_atomic(folder_ / "broken.yaml", "worlds: [\n");
  EXPECT_FALSE(is_control_recipe(folder_ / "broken.yaml"));
  EXPECT_FALSE(is_control_recipe(folder_ / "missing.yaml"));
}

TEST_F(TrainControl, WhatTheRecipeSaysReadsBack) {
  const Recipe recipe = load_recipe(folder_ / "small.yaml", {});
  write_file_atomic(folder_ / "again.yaml", recipe.to_yaml());
  EXPECT_EQ(load_recipe(folder_ / "again.yaml", {}).to_yaml(), recipe.to_yaml());
  EXPECT_TRUE(recipe_differences(recipe.to_yaml(), recipe.to_yaml()).empty());
}

TEST(ControlRecipes, ThoseThatComeWithTheProjectAreRight) {
  const fs::path folder = fs::path(DETENTE_SOURCE_DIR) / "recipes";
  for (const char* name :
       {"point_mass.yaml", "papers/mt10.yaml", "papers/mt50.yaml", "papers/metaworld_four.yaml"}) {
    EXPECT_TRUE(is_control_recipe(folder / name)) << name;
    EXPECT_NO_THROW(load_recipe(folder / name, {})) << name;
  }
  EXPECT_FALSE(is_control_recipe(folder / "bike.yaml"));
}

TEST(ControlRecipes, TheReferenceIsUpToDate) {
  EXPECT_EQ(read_file(fs::path(DETENTE_SOURCE_DIR) / "docs" / "recipe_agents.md"),
            recipe_markdown())
      << "write it anew: detente recipe docs --agents > docs/recipe_agents.md";
}

}  // namespace
}  // namespace detente::control
