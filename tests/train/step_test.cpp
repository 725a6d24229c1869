// SPDX-License-Identifier: Apache-2.0
// The ways in which a run makes its steps: in parts, in mixed precision, with a direction per
// layer, from an estimate, with scaled losses.
#include <ATen/Context.h>
#include <detente/balance/registry.h>
#include <detente/report/inspection.h>
#include <detente/tensor/safetensors.h>
#include <detente/train/loss_source.h>
#include <detente/train/snapshot.h>
#include <gmock/gmock.h>
#include <tests/train/last_snapshot.h>
#include <tests/train/tiny_run.h>
#include <torch/types.h>

#include <cmath>
#include <csignal>
#include <sstream>

namespace detente::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class StepTest : public TinyRunTest {
 protected:
  // Nothing in the model is left to chance.
  static std::vector<std::string> without_chance(std::vector<std::string> more) {
    for (const char* off : {"model.dropout=0",
                            "model.embedding_dropout=0",
                            "model.token_dropout=0",
                            "model.symmetric=false",
                            "tasks.score.loss={name: mse}"}) {
      more.emplace_back(off);
    }
    return more;
  }

  std::vector<Json> steps(const std::string& out) const {
    std::vector<Json> lines = read_lines(folder_ / out / "metrics.jsonl");
    std::erase_if(lines, [](const Json& line) { return line["type"] != "step"; });
    return lines;
  }

  NamedTensors snapshot(const std::string& out, const std::string& prefix) const {
    NamedTensors found;
    for (const auto& [name, tensor] : last_snapshot(folder_ / out).tensors) {
      if (name.starts_with(prefix)) found.emplace_back(name, tensor);
    }
    return found;
  }

  Json snapshot_state(const std::string& out) const {
    return last_snapshot(folder_ / out).state.to_json();
  }
};

TEST(MicroBatches, AreNeighboursOfNearlyEqualNumber) {
  EXPECT_THAT(micro_batches({7, 1, 4, 2, 9, 3, 8}, 3),
              ElementsAre(data::RowList{7, 1}, data::RowList{4, 2}, data::RowList{9, 3, 8}));
  EXPECT_THAT(micro_batches({5, 6}, 4), ElementsAre(data::RowList{5}, data::RowList{6}));
  EXPECT_THAT(micro_batches({5, 6}, 1), ElementsAre(data::RowList{5, 6}));
}

struct PartsCase {
  std::string name;
  std::vector<std::string> overrides;
};

class PartsTest : public StepTest, public ::testing::WithParamInterface<PartsCase> {
 protected:
  // score in every sixth row: most parts of five rows lack it, batches of 16 have it.
  static std::string partly_labelled(int count) {
    const std::string full = rows(count, 1);
    std::istringstream in(full);
    std::string line;
    std::string text;
    std::getline(in, line);
    text = line + "\n";
    for (int i = 0; std::getline(in, line); ++i) {
      const std::size_t same = line.rfind('\t');
      const std::size_t score = line.rfind('\t', same - 1);
      text += line.substr(0, score + 1);
      if (i % 6 == 0) text += line.substr(score + 1, same - score - 1);
      text += "\t";
      if (i % 5 != 0) text += line.substr(same + 1);
      text += "\n";
    }
    return text;
  }
};

TEST_P(PartsTest, MakeTheStepOfTheWholeBatch) {
  write_file_atomic(folder_ / "train.tsv", partly_labelled(96));
  auto overrides = without_chance(GetParam().overrides);
  overrides.emplace_back("precision=float64");
  run("whole", overrides);
  overrides.emplace_back("train.micro_batches=3");
  run("parts", overrides);
  const NamedTensors whole = snapshot("whole", "model.");
  const NamedTensors parts = snapshot("parts", "model.");
  ASSERT_EQ(parts.size(), whole.size());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    EXPECT_LT((parts[i].second - whole[i].second).abs().max().item<double>(), 1e-7)
        << whole[i].first;
  }
  const auto of_whole = steps("whole");
  const auto of_parts = steps("parts");
  ASSERT_EQ(of_parts.size(), of_whole.size());
  for (std::size_t i = 0; i < of_whole.size(); ++i) {
    for (const char* task : {"score", "same"}) {
      ASSERT_EQ(of_parts[i]["losses"][task].is_null(), of_whole[i]["losses"][task].is_null());
      if (of_whole[i]["losses"][task].is_null()) continue;
      EXPECT_NEAR(of_parts[i]["losses"][task].get<double>(),
                  of_whole[i]["losses"][task].get<double>(),
                  1e-7);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Methods,
    PartsTest,
    ::testing::Values(PartsCase{"cagrad", {"balance.method=cagrad"}},
                      PartsCase{"gradvac", {"balance.method=gradvac"}},
                      PartsCase{"uw", {"balance.method=uw", "engine.diagnose_every=0"}},
                      PartsCase{"weighted", {"balance.method=ew", "engine.strategy=weighted"}},
                      PartsCase{"famo", {"balance.method=famo", "balance.lr=1"}},
                      PartsCase{"graddrop", {"balance.method=graddrop"}},
                      PartsCase{"clipped", {"engine.clip_norm=0.1"}},
                      PartsCase{"scaled", {"engine.loss_scaling=dynamic"}},
                      PartsCase{"layers", {"balance.method=mgda", "engine.granularity=layers"}}),
    [](const auto& info) { return info.param.name; });

TEST_F(StepTest, PartsHaveDropoutOfTheirOwn) {
  // Four equal rows in four parts: with one mask for all, the loss would be that of one row.
  std::string text = "sentence1\tsentence2\tscore\tsame\n";
  for (int i = 0; i < 4; ++i) text += "붉은 하늘\t푸른 하늘\t" + std::to_string(i) + "\t1\n";
  write_file_atomic(folder_ / "train.tsv", text);
  const std::vector<std::string> overrides = {"model.dropout=0.5",
                                              "model.symmetric=false",
                                              "train.tasks=[same]",
                                              "train.batch_size=4",
                                              "train.min_batch=1",
                                              "train.epochs=1"};
  auto one = overrides;
  one.emplace_back("data.max_rows=1");
  auto four = overrides;
  four.emplace_back("train.micro_batches=4");
  run("one", one);
  run("four", four);
  EXPECT_NE(steps("one")[0]["losses"]["same"], steps("four")[0]["losses"]["same"]);
}

TEST_F(StepTest, AutocastComputesTheStepInBf16AndEvaluatesInFloat32) {
  const auto options = without_chance({"train.epochs=1"});
  auto mixed = options;
  mixed.emplace_back("autocast=bf16");
  run("plain", options);
  run("mixed", mixed);
  const Json plain = steps("plain")[0]["losses"];
  const Json rough = steps("mixed")[0]["losses"];
  for (const char* task : {"score", "same"}) {
    EXPECT_NE(plain[task], rough[task]);
    EXPECT_NEAR(rough[task].get<double>() / plain[task].get<double>(), 1.0, 0.03);
  }
  for (const auto& [name, tensor] : snapshot("mixed", "")) {
    EXPECT_TRUE(tensor.scalar_type() == torch::kFloat32 || tensor.scalar_type() == torch::kFloat64)
        << name;
  }
  // The same model, evaluated by a run that trains in float32 and does not move.
  run("still", without_chance({"train.epochs=1", "optimizer.lr=1e-30"}));
  run("still_mixed", without_chance({"train.epochs=1", "optimizer.lr=1e-30", "autocast=bf16"}));
  EXPECT_EQ(read_lines(folder_ / "still/metrics.jsonl").back()["dev"],
            read_lines(folder_ / "still_mixed/metrics.jsonl").back()["dev"]);
}

TEST_F(StepTest, AutocastInFp16ScalesTheLosses) {
  const TrainOutcome outcome = run("run", {"autocast=fp16"});
  EXPECT_GT(outcome.summary["tasks"]["score"]["pearson"].get<double>(), 0.4);
  for (const Json& line : steps("run")) EXPECT_GE(line["loss_scale"].get<double>(), 1.0);
}

TEST_F(StepTest, LayersHaveWeightsOfTheirOwnInTheLog) {
  run("run", {"engine.granularity=layers", "balance.method=mgda", "engine.diagnose_every=2"});
  bool differ = false;
  int measured = 0;
  for (const Json& line : steps("run")) {
    const bool due = (line["step"].get<int>() - 1) % 2 == 0;
    ASSERT_EQ(line.contains("diagnosis"), due) << line;
    if (!due) continue;
    ++measured;
    const Json& groups = line["diagnosis"]["groups"];
    ASSERT_TRUE(groups.contains("layers.0") && groups.contains("trunk")) << groups;
    for (const auto& [name, group] : groups.items()) {
      const double a = group["weights"]["score"].get<double>();
      const double b = group["weights"]["same"].get<double>();
      EXPECT_NEAR(a + b, 1.0, 1e-9) << name;  // mgda's weights
      differ = differ || std::abs(a - groups["trunk"]["weights"]["score"].get<double>()) > 1e-3;
    }
  }
  EXPECT_EQ(measured, 9);
  EXPECT_TRUE(differ);
}

TEST_F(StepTest, NamedGroupsAreThoseOfTheReport) {
  run("run", {"engine.granularity=groups", "engine.groups=[layers.0, trunk]", "train.epochs=1"});
  std::vector<std::string> names;
  const Json line = steps("run")[0];
  for (const auto& [name, group] : line["diagnosis"]["groups"].items()) names.push_back(name);
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("layers.0", "trunk", "rest"));
  const Error error = error_of([&] {
    run("wrong", {"engine.granularity=groups", "engine.groups=[trunc]"});
  });
  EXPECT_THAT(error.what(), HasSubstr("trunk"));
}

TEST_F(StepTest, TheGramMatrixCanBeEstimatedInBf16) {
  const auto options = without_chance({"train.epochs=1"});
  auto rough = options;
  rough.insert(
      rough.end(),
      {"engine.gram_precision=bf16", "engine.diagnose_every=3", "engine.estimate_floor=-1"});
  run("exact", options);
  run("rough", rough);
  for (const Json& line : steps("rough")) {
    const bool due = (line["step"].get<int>() - 1) % 3 == 0;
    EXPECT_EQ(line.contains("estimated"), !due) << line;
    ASSERT_EQ(line.contains("estimate_cosine"), due) << line;
    if (!due) continue;
    EXPECT_GT(line["estimate_cosine"].get<double>(), 0.99);
  }
  // The step itself is in float32, and exact where it is measured.
  const auto exact = steps("exact");
  EXPECT_EQ(steps("rough")[0]["losses"], exact[0]["losses"]);
  EXPECT_EQ(steps("rough")[0]["weights"], exact[0]["weights"]);
  EXPECT_NE(steps("rough")[1]["weights"], exact[1]["weights"]);
}

class OverflowTest : public StepTest {
 protected:
  // A recipe whose score is of this size: with 1e16 the gradients lie within the range of float32,
  // but not gradients 65536 times as long.
  std::vector<std::string> scaled(const std::string& size, std::vector<std::string> more = {}) {
    std::string text = "sentence1\tsentence2\tscore\tsame\n";
    for (int i = 0; i < 96; ++i) {
      text += "붉은 하늘\t" + std::string(i % 3 == 0 ? "붉은" : "푸른") + " 바다\t" +
              std::to_string(i % 7) + size.substr(1) + "\t" + std::to_string(i % 2) + "\n";
    }
    write_file_atomic(folder_ / "train.tsv", text);
    more.push_back("tasks.score.high=" + size);
    for (const char* option : {"tasks.score.weight=100",
                               "tasks.score.loss={name: mse}",
                               "engine.loss_scaling=dynamic",
                               "engine.clip_norm=1"}) {
      more.emplace_back(option);
    }
    return more;
  }
};

TEST_F(OverflowTest, ASkippedStepLeavesModelOptimiserAndMethodAlone) {
  for (const char* method : {"gradvac", "ew"}) {
    const std::string out = method;
    const auto options = scaled("6e16",
                                {"train.epochs=1",
                                 "train.batch_size=96",
                                 "balance.method=" + out,
                                 "engine.diagnose_every=0"});
    const TrainOutcome outcome = run(out, options);
    EXPECT_EQ(outcome.summary["skipped_steps"], 1) << method;
    const auto lines = steps(out);
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_EQ(lines[0]["skipped"], true);
    EXPECT_EQ(lines[0]["loss_scale"], 65536.0);
    for (const auto& [name, tensor] : snapshot(out, "optimizer.")) {
      EXPECT_EQ(tensor.count_nonzero().item<std::int64_t>(), 0) << name;
    }
    EXPECT_EQ(snapshot_state(out)["optimizer_steps"], 0);
    EXPECT_EQ(snapshot_state(out)["method_state"], balance::make_method(out)->state());
    // Nothing overflows and nothing moves here.
    auto still = options;
    still.insert(still.end(),
                 {"engine.loss_scaling=none", "tasks.score.weight=1e-30", "optimizer.lr=1e-30"});
    run(out + "_still", still);
    const NamedTensors before = snapshot(out + "_still", "model.");
    const NamedTensors after = snapshot(out, "model.");
    ASSERT_EQ(after.size(), before.size());
    for (std::size_t i = 0; i < before.size(); ++i) {
      EXPECT_LT((after[i].second - before[i].second).abs().max().item<double>(), 1e-25)
          << before[i].first;
    }
  }
}

TEST_F(OverflowTest, SkipsUntilTheScaleFitsSaysSoOnceAndResumes) {
  const auto options = scaled("6e16");
  std::ostringstream log;
  train(recipe(options), {folder_ / "whole", ExistingRun::kRefuse, Progress::Style::kLines}, log);
  int skipped = 0;
  const auto lines = steps("whole");
  for (const Json& line : lines) {
    EXPECT_EQ(line["loss_scale"], std::exp2(16 - skipped)) << line;
    skipped += line.contains("skipped") ? 1 : 0;
  }
  EXPECT_GT(skipped, 0);
  EXPECT_LT(skipped, static_cast<int>(lines.size()));
  EXPECT_EQ(Json::parse(read_file(folder_ / "whole/summary.json"))["skipped_steps"], skipped);
  const std::string shown = log.str();
  const std::size_t at = shown.find("notice: step 1 changed nothing");
  ASSERT_NE(at, std::string::npos) << shown;
  EXPECT_EQ(shown.find("notice:", at + 1), std::string::npos) << shown;

  run_with_trigger(
      "parted", "epoch 1/3 in", [] { std::raise(SIGINT); }, options);
  run("parted", options, ExistingRun::kResume);
  EXPECT_EQ(timeless(read_lines(folder_ / "whole/metrics.jsonl")),
            timeless(read_lines(folder_ / "parted/metrics.jsonl")));
  EXPECT_EQ(snapshot_state("whole")["optimizer_steps"], static_cast<int>(lines.size()) - skipped);
  EXPECT_EQ(read_file(folder_ / "whole/model.safetensors"),
            read_file(folder_ / "parted/model.safetensors"));
}

TEST_F(StepTest, DeterministicHoldsForTheRunAlone) {
  const auto on = [] { return at::globalContext().deterministicAlgorithms(); };
  ASSERT_FALSE(on());
  bool during = false;
  run_with_trigger("run", "epoch 1/3 in", [&] { during = on(); }, {"deterministic=true"});
  EXPECT_TRUE(during);
  EXPECT_FALSE(on());
  run_with_trigger("plain", "epoch 1/3 in", [&] { during = on(); });
  EXPECT_FALSE(during);
}

TEST_F(StepTest, ARunFromBeforeTheseKeysGoesOn) {
  run("whole");
  run_with_trigger("old", "epoch 1/3 in", [] { std::raise(SIGINT); });
  // As Detente 0.1 wrote it: one file.
  const Snapshot now = last_snapshot(folder_ / "old");
  std::istringstream lines(now.recipe_yaml);
  std::string old;
  int dropped = 0;
  for (std::string line; std::getline(lines, line);) {
    bool young = false;
    for (const char* key : {"autocast:",
                            "deterministic:",
                            "loss_scaling:",
                            "granularity:",
                            " groups:",
                            "gram_precision:",
                            "keep:",
                            "micro_batches:"}) {
      young = young || line.find(key) != std::string::npos;
    }
    dropped += young ? 1 : 0;
    if (!young) old += line + "\n";
  }
  EXPECT_EQ(dropped, 9);  // `groups` stands in two sections
  Json state = now.state.to_json();
  for (const char* key :
       {"skipped_steps", "optimizer_steps", "log_bytes", "train_digest", "dev_digest"}) {
    EXPECT_EQ(state.erase(key), 1U);
  }
  tensor::write_safetensors(
      folder_ / "old/snapshot.safetensors",
      now.tensors,
      {{"format", "detente-snapshot-1"}, {"state", state.dump()}, {"recipe", old}});
  std::filesystem::remove_all(folder_ / "old/snapshots");
  std::filesystem::remove(folder_ / "old/.detente-run");
  std::filesystem::remove(folder_ / "old/manifest.json");
  run("old", {}, ExistingRun::kResume);
  EXPECT_EQ(read_file(folder_ / "whole/model.safetensors"),
            read_file(folder_ / "old/model.safetensors"));
}

TEST_F(StepTest, CurvatureIsWrittenAsInspectReadsIt) {
  run("run", {"train.curvature_every=3", "engine.diagnose_every=2"});
  for (const Json& line : steps("run")) {
    const bool due = (line["step"].get<int>() - 1) % 3 == 0;
    ASSERT_EQ(line.contains("diagnosis") && line["diagnosis"].contains("curvature"), due) << line;
    if (!due) continue;
    const Json& curvature = line["diagnosis"]["curvature"];
    EXPECT_GT(curvature["squared_norm"].get<double>(), 0);
    EXPECT_GT(curvature["step"].get<double>(), 0);
    EXPECT_GT(curvature["lipschitz"].get<double>(), 0);
  }
  const report::Inspection found = report::inspect_run(report::read_run(folder_ / "run"), {});
  EXPECT_EQ(found.curvature.from_gradients.count, 6U);  // of 18 steps
  EXPECT_EQ(found.curvature.from_losses.count, 6U);
  EXPECT_EQ(found.triad.measured, 6U);  // cagrad: every step has the gradients, one pair
  EXPECT_FALSE(found.groups.empty());
}

}  // namespace
}  // namespace detente::train
