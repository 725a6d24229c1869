// SPDX-License-Identifier: Apache-2.0
// Training on graphs: nodes of one graph, and many graphs with a table of targets.
#include <detente/train/corpus.h>
#include <detente/train/evaluate.h>
#include <detente/train/loaded_run.h>
#include <gmock/gmock.h>
#include <tests/train/tiny_run.h>
#include <torch/types.h>

namespace detente::train {
namespace {

using ::testing::HasSubstr;

class GraphRunTest : public TinyRunTest {
 protected:
  void SetUp() override {
    TinyRunTest::SetUp();
    write_nodes();
    write_graphs();
    use("nodes.txt", "", "[16]");
  }

  // Two communities; a node's class is its community, which its features hint at.
  void write_nodes() {
    Rng rng(1);
    constexpr int kNodes = 120;
    std::string text;
    for (int i = 0; i < kNodes; ++i) {
      const int community = i % 2;
      const int split = i < 40 ? 0 : i < 80 ? 1 : 2;
      const bool hint = rng.uniform() < 0.7;
      text += fmt::format("{} {} 2 {} {}\n",
                          i % 11 == 10 ? -1 : community,
                          split,
                          hint ? community : 1 - community,
                          2 + static_cast<int>(rng.below(4)));
    }
    int edges = 0;
    for (int i = 0; i < kNodes; ++i) {
      for (int j = 0; j < i; ++j) {
        if (rng.uniform() >= ((i - j) % 2 == 0 ? 0.08 : 0.01)) continue;
        text += fmt::format("{} {}\n", i, j);
        ++edges;
      }
    }
    write_file_atomic(folder_ / "nodes.txt", fmt::format("{} 6 2 {}\n", kNodes, edges) + text);
  }

  // Chains of atoms; one target counts oxygen, the other says whether there is any.
  void write_graphs() {
    Rng rng(2);
    std::string text;
    std::string targets = "mol_id,oxygen,any\n";
    for (int i = 0; i < 160; ++i) {
      const auto atoms = 2 + static_cast<int>(rng.below(5));
      int oxygen = 0;
      text += fmt::format("m{} {} {}", i, atoms, atoms - 1);
      for (int a = 0; a < atoms; ++a) {
        const bool is_oxygen = rng.uniform() < 0.25;
        oxygen += is_oxygen ? 1 : 0;
        text += is_oxygen ? " 8:0:0:0" : " 6:0:2:0";
      }
      for (int a = 1; a < atoms; ++a) text += fmt::format(" {}-{}-1", a - 1, a);
      text += "\n";
      targets += fmt::format(
          "m{},{},{}\n", i, i % 9 == 4 ? "" : std::to_string(oxygen), oxygen > 0 ? 1 : 0);
    }
    write_file_atomic(folder_ / "molecules.txt", text);
    write_file_atomic(folder_ / "targets.csv", targets);
  }

  void use(const std::string& file, const std::string& more, const std::string& widths) {
    const bool nodes = file == "nodes.txt";
    write_file_atomic(
        recipe_path(),
        "data: {kind: graph, train: " + file + more +
            "}\nmodel: {kind: " + (nodes ? "gcn" : "gin") + ", widths: " + widths + "}\ntasks:\n" +
            (nodes ? "  - {name: community, column: label, head: classes, classes: 2}\n"
                     "  - {name: degree, head: regression, metrics: [r2]}\n"
                   : "  - {name: oxygen, head: regression, metrics: [r2]}\n"
                     "  - {name: any, head: binary}\n") +
            "balance: {method: cagrad}\n"
            "optimizer: {lr: 0.02}\n"
            "train: {epochs: " +
            (nodes ? "60" : "15") + ", batch_size: " + (nodes ? "40" : "16") + "}\nthreads: 1\n");
  }
  void use_molecules() {
    use("molecules.txt", ", targets: targets.csv, split: {dev: 0.2, test: 0.1}", "[16, 16]");
  }
};

TEST_F(GraphRunTest, LearnsTasksOfNodes) {
  const TrainOutcome outcome = run("run");
  const Json& tasks = outcome.summary["tasks"];
  EXPECT_EQ(outcome.summary["train_rows"], 40);
  EXPECT_EQ(outcome.summary["dev_rows"], 40);
  EXPECT_GT(tasks["community"]["accuracy"].get<double>(), 0.85);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/graphs.json"));
}

TEST_F(GraphRunTest, LearnsTasksOfGraphsFromATable) {
  use_molecules();
  const TrainOutcome outcome = run("run");
  const Json& tasks = outcome.summary["tasks"];
  EXPECT_GT(tasks["oxygen"]["r2"].get<double>(), 0.8);
  EXPECT_GT(tasks["any"]["f1"].get<double>(), 0.9);
}

TEST_F(GraphRunTest, TheLoadedRunGivesTheMetricsOfTheSummary) {
  for (const bool molecules : {false, true}) {
    if (molecules) use_molecules();
    const std::string out = molecules ? "molecules" : "nodes";
    const TrainOutcome outcome = run(out, {"train.epochs=3"});
    const LoadedRun loaded = load_run(folder_ / out, {});
    for (const data::Part part : {data::Part::kDev, data::Part::kTest}) {
      const auto rows =
          load_rows(loaded.recipe, loaded.recipe.data.files, part, *loaded.source, true);
      const Json metrics = report::to_json(metrics_by_task(
          loaded.recipe, evaluate(loaded.recipe, predict_rows(*loaded.model, *rows, 7), *rows)));
      if (part == data::Part::kTest) continue;
      for (const auto& [task, values] : outcome.summary["tasks"].items()) {
        for (const auto& [name, value] : values.items()) {
          EXPECT_NEAR(metrics[task][name].get<double>(), value.get<double>(), 1e-4) << task << name;
        }
      }
    }
    // Prediction needs neither targets nor their table.
    const auto rows = load_rows(loaded.recipe,
                                data::one_file(loaded.recipe.data.files.train),
                                data::Part::kDev,
                                *loaded.source,
                                false);
    EXPECT_EQ(rows->size(), molecules ? 160U : 120U);
    EXPECT_EQ(predict_rows(*loaded.model, *rows, 16).at(0).values.size(), rows->size());
  }
}

TEST_F(GraphRunTest, ResumedEqualsNeverStopped) {
  for (const bool molecules : {false, true}) {
    if (molecules) use_molecules();
    const std::string name = molecules ? "molecules" : "nodes";
    const std::vector<std::string> options = {
        "train.epochs=3", "train.curvature_every=2", "engine.diagnose_every=2"};
    expect_resumed_equals_whole("whole" + name, "stopped" + name, options);
  }
}

TEST_F(GraphRunTest, EveryStrategyOfTheEngineAgrees) {
  for (const bool molecules : {false, true}) {
    if (molecules) use_molecules();
    const std::string name = molecules ? "molecules" : "nodes";
    NamedTensors first;
    for (const char* strategy : {"sequential", "ghost", "auto"}) {
      const std::string out = name + strategy;
      run(out,
          {"train.epochs=2",
           "precision=float64",
           "model.dropout=0.2",
           std::string("engine.strategy=") + strategy});
      const NamedTensors state = load_run(folder_ / out, {}).model->state();
      if (first.empty()) first = state;
      for (std::size_t i = 0; i < state.size(); ++i) {
        EXPECT_LT((state[i].second - first[i].second).abs().max().item<double>(), 1e-9)
            << out << " " << state[i].first;
      }
    }
  }
}

TEST_F(GraphRunTest, PartsOfABatchMakeTheSameStep) {
  use_molecules();
  const std::vector<std::string> options = {
      "train.epochs=1", "precision=float64", "model.dropout=0", "balance={method: ew}"};
  std::vector<std::string> parts = options;
  parts.emplace_back("train.micro_batches=2");
  run("whole", options);
  run("parts", parts);
  const NamedTensors a = load_run(folder_ / "whole", {}).model->state();
  const NamedTensors b = load_run(folder_ / "parts", {}).model->state();
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_LT((a[i].second - b[i].second).abs().max().item<double>(), 1e-9) << a[i].first;
  }
}

TEST_F(GraphRunTest, TrainsInMixedPrecision) {
  use_molecules();
  const TrainOutcome outcome = run("run", {"train.epochs=3", "autocast=bf16"});
  EXPECT_GT(outcome.summary["tasks"]["oxygen"]["r2"].get<double>(), 0.3);
}

TEST_F(GraphRunTest, RefusesToGoOnWithOtherGraphs) {
  use_molecules();
  run("run", {"train.epochs=2"});
  std::string text = read_file(folder_ / "molecules.txt");
  for (auto at = text.find(" 8:"); at != std::string::npos; at = text.find(" 8:", at)) {
    text.replace(at, 3, " 7:");
  }
  write_file_atomic(folder_ / "molecules.txt", text);
  const Error error = error_of([&] { run("run", {"train.epochs=2"}, ExistingRun::kResume); });
  EXPECT_EQ(error.code(), ErrorCode::kData);
  EXPECT_THAT(error.what(), HasSubstr("graphs.json"));
}

TEST_F(GraphRunTest, KindsMustFitEachOther) {
  EXPECT_THAT(error_of([&] { recipe({"model={kind: mlp}"}); }).what(),
              HasSubstr("data.kind: table"));
  EXPECT_THAT(error_of([&] { recipe({"data.form=tree"}); }).what(), HasSubstr("form"));
  use("molecules.txt", ", targets: targets.csv", "[8]");
  EXPECT_THAT(error_of([&] { run("run"); }).what(), HasSubstr("data.split.dev"));
}

}  // namespace
}  // namespace detente::train
