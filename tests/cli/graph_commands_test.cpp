// SPDX-License-Identifier: Apache-2.0
// Graphs from the command line: train, eval, predict, resume, export.
#include <gmock/gmock.h>
#include <tests/cli/train_commands.h>
#include <tests/support/standard_input.h>

namespace detente::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class GraphCommandsTest : public TrainCommandsTest {
 protected:
  void SetUp() override {
    TrainCommandsTest::SetUp();
    Rng rng(3);
    std::string graphs = "40\n";
    std::string targets = "tags\n";
    for (int i = 0; i < 40; ++i) {
      const int nodes = 1 + static_cast<int>(rng.below(4));
      graphs += std::to_string(nodes) + " " + (i % 3 == 0 ? "2" : "0") + "\n";
      int sum = 0;
      for (int node = 0; node < nodes; ++node) {
        const int tag = static_cast<int>(rng.below(3));
        sum += tag;
        graphs += std::to_string(tag) + (nodes == 1                       ? " 0"
                                         : node == 0 || node + 1 == nodes ? " 1"
                                                                          : " 2");
        if (node > 0) graphs += " " + std::to_string(node - 1);
        if (node + 1 < nodes) graphs += " " + std::to_string(node + 1);
        graphs += "\n";
      }
      targets += std::to_string(sum) + "\n";
    }
    write_file_atomic(folder_ / "g.txt", graphs);
    write_file_atomic(folder_ / "t.csv", targets);
    write_file_atomic(recipe_path(),
                      "data: {kind: graph, train: g.txt, targets: t.csv, split: {dev: 0.25}}\n"
                      "model: {kind: gin, widths: [8]}\n"
                      "tasks:\n"
                      "  - {name: tags, head: regression}\n"
                      "  - {name: label, head: classes, classes: 2, class_names: [\"0\", \"2\"]}\n"
                      "train: {epochs: 3, batch_size: 8}\n"
                      "threads: 1\n");
  }
};

TEST_F(GraphCommandsTest, TrainEvalPredictAndResume) {
  ASSERT_EQ(train_tiny({"--quiet", "--set", "train.epochs=2"}), 0) << err_.str();
  ASSERT_EQ(train_tiny({"--quiet", "--resume"}), 0) << err_.str();
  ASSERT_EQ(call({"eval", path("run"), "--json"}), 0) << err_.str();
  EXPECT_EQ(Json::parse(out_.str())["rows"], 10);
  EXPECT_EQ(Json::parse(out_.str())["tasks"],
            Json::parse(read_file(folder_ / "run/summary.json"))["tasks"]);
  // A file of its own has targets of its own.
  ASSERT_EQ(call({"eval", path("run"), "--data", path("g.txt"), "--json"}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("'tags'"));
  ASSERT_EQ(call({"eval",
                  path("run"),
                  "--data",
                  path("g.txt"),
                  "--json",
                  "--set",
                  "data.dev_targets=" + path("t.csv")}),
            0)
      << err_.str();
  EXPECT_EQ(Json::parse(out_.str())["rows"], 40);

  write_file_atomic(folder_ / "new.txt", "2\n2 0\n1 1 1\n99 1 0\n1 7\n0 0\n");
  ASSERT_EQ(call({"predict", path("run"), "--data", path("new.txt"), "--out", path("p.csv")}), 0)
      << err_.str();
  EXPECT_THAT(read_file(folder_ / "p.csv"),
              StartsWith("graph,nodes,edges,mean_degree,tags,label,label_probability\n0,2,1,1,"));
  {
    const test::StandardInput input(path("new.txt"));
    ASSERT_EQ(call({"predict", path("run"), "--data", "-", "--out", "-"}), 0) << err_.str();
    EXPECT_THAT(out_.str(), HasSubstr("\n1\t1\t0\t0\t"));
  }
  write_file_atomic(folder_ / "new.txt", "2\n2 0\n1 1 1\n99 1 0\n1 7\n");
  EXPECT_EQ(call({"predict", path("run"), "--data", path("new.txt"), "--out", path("p.csv")}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("ends after line 5"));
  EXPECT_THAT(read_file(folder_ / "p.csv"), HasSubstr("label_probability")) << "as it was";
}

TEST_F(GraphCommandsTest, ExportsAndComparesAGraphModel) {
  ASSERT_EQ(train_tiny({"--quiet", "--set", "train.epochs=1"}), 0) << err_.str();
  for (const char* form : {"onnx", "torchscript", "safetensors"}) {
    EXPECT_EQ(call({"export", path("run"), "--to", form, "--out", path(form)}), 0) << err_.str();
  }
  EXPECT_EQ(call({"compare", path("run"), "--baseline"}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("constant"));
}

}  // namespace
}  // namespace detente::cli
