// SPDX-License-Identifier: Apache-2.0
// train, eval and predict on NumPy's files as a user types them, wrong input included.
#include <gmock/gmock.h>
#include <tests/cli/train_commands.h>
#include <tests/support/write_npy.h>

namespace detente::cli {
namespace {

using test::npy_file;
using test::raw_bytes;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ArrayCommandsTest : public TrainCommandsTest {
 protected:
  // A number, its sign and whether it is beyond 1; `shape` after the number of examples.
  void write_arrays(const std::string& name, int count, const std::string& shape, int size) {
    Rng rng(static_cast<std::uint64_t>(count));
    std::vector<float> x;
    std::vector<double> y;
    std::string big;
    for (int i = 0; i < count; ++i) {
      const double level = 4 * rng.uniform() - 2;
      for (int j = 0; j < size; ++j) x.push_back(static_cast<float>(level + 0.1 * rng.uniform()));
      y.push_back(level);
      big += static_cast<char>(level > 1 || level < -1);
    }
    const std::string n = std::to_string(count);
    test::ZipForm form;
    form.deflate = count % 2 == 0;
    write_file_atomic(
        path(name),
        test::zip_file({{"X.npy", npy_file("<f4", "(" + n + ", " + shape + ")", raw_bytes(x))},
                        {"level.npy", npy_file("<f8", "(" + n + ",)", raw_bytes(y))},
                        {"big.npy", npy_file("|b1", "(" + n + ", 1)", big)}},
                       form));
  }
  void write_arrays_recipe(const std::string& model) {
    write_file_atomic(recipe_path(),
                      "data: {kind: arrays, train: a.npz, split: {dev: 0.25}}\n"
                      "model: " +
                          model +
                          "\n"
                          "tasks: [{name: level, head: regression}, {name: big, head: binary}]\n"
                          "optimizer: {lr: 0.01}\n"
                          "train: {epochs: 6, batch_size: 8}\n"
                          "threads: 1\n");
  }
};

TEST_F(ArrayCommandsTest, WhatNewProposesTrainsAsItIs) {
  const std::pair<const char*, int> shapes[] = {{"3", 3},
                                                {"2, 16", 32},
                                                {"16, 2", 32},
                                                {"9, 8", 72},
                                                {"1, 8, 8", 64},
                                                {"8, 8, 3", 192},
                                                {"4, 8, 8, 1", 256}};
  for (const auto& [shape, size] : shapes) {
    write_arrays("a.npz", 60, shape, size);
    ASSERT_EQ(call({"new", "--from", path("a.npz"), "--out", path("new.yaml"), "--force"}), 0)
        << err_.str();
    EXPECT_THAT(out_.str(), HasSubstr("2 tasks, 60 examples"));
    ASSERT_EQ(call({"train",
                    path("new.yaml"),
                    "--out",
                    path("new-run"),
                    "--force",
                    "--quiet",
                    "--set",
                    "train.epochs=1"}),
              0)
        << shape << err_.str();
  }
  EXPECT_EQ(call({"new", "--from", path("a.npz"), "--out", "-", "--targets", "levl"}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("'level'"));
}

TEST_F(ArrayCommandsTest, TrainEvalPredictAndExportEveryForm) {
  struct Case {
    const char* shape;
    int size;
    const char* model;
    const char* input;
  };
  const Case cases[] = {
      {"3", 3, "{widths: [16]}", "numbers"},
      {"2, 8", 16, "{kind: convnet1d, channels: [8], hidden: 8, norm: batch}", "series"},
      {"2, 8, 4", 64, "{kind: convnet, channels: [4], hidden: 8, norm: batch}", "image"},
      {"2, 4, 8", 64, "{kind: resnet, small: true, norm: batch}", "image"},
  };
  for (const Case& one : cases) {
    const bool resnet = std::string(one.model).find("resnet") != std::string::npos;
    write_arrays("a.npz", 64, one.shape, one.size);
    write_arrays("new.npz", 13, one.shape, one.size);
    write_arrays_recipe(one.model);
    ASSERT_EQ(train_again({"--set", resnet ? "train.epochs=1" : "train.epochs=12"}), 0)
        << err_.str();
    ASSERT_EQ(call({"eval", path("run"), "--data", path("new.npz"), "--json"}), 0) << err_.str();
    const Json eval = Json::parse(out_.str());
    EXPECT_EQ(eval["rows"], 13);
    if (!resnet) {
      EXPECT_GT(eval["tasks"]["level"]["pearson"].get<double>(), 0.7) << one.model;
    }
    ASSERT_EQ(call({"predict", path("run"), "--data", path("new.npz"), "--out", path("p.csv")}), 0)
        << err_.str();
    EXPECT_THAT(read_file(path("p.csv")),
                AllOf(StartsWith("example,level,big,big_probability\n0,"), HasSubstr("\n12,")));
    ASSERT_EQ(call({"export", path("run"), "--to", "onnx", "--out", path("m.onnx")}), 0)
        << err_.str();
    EXPECT_THAT(read_file(path("m.onnx")), HasSubstr(one.input));
    ASSERT_EQ(call({"data", "check", path("tiny.yaml")}), 0) << err_.str();
  }
}

TEST_F(ArrayCommandsTest, AModelOfAnotherFormIsAnError) {
  write_arrays("a.npz", 32, "2, 8, 4", 64);
  write_arrays_recipe("{widths: [4]}");
  EXPECT_EQ(train_again(), 2);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("[n, d]"), HasSubstr("model.kind: convnet or resnet")));
  EXPECT_FALSE(std::filesystem::exists(path("run")));
  write_arrays("a.npz", 32, "3", 3);
  write_arrays_recipe("{kind: convnet1d}");
  EXPECT_EQ(train_again(), 2);
  EXPECT_THAT(err_.str(), HasSubstr("model.kind: mlp"));
}

TEST_F(ArrayCommandsTest, WrongInputIsThreeAndLeavesNothing) {
  write_arrays("a.npz", 64, "3", 3);
  write_arrays_recipe("{widths: [4]}");
  ASSERT_EQ(train_again(), 0) << err_.str();
  const std::string before = read_file(path("run/model.safetensors"));
  const std::string whole = read_file(path("a.npz"));
  write_file_atomic(path("a.npz"), whole.substr(0, whole.size() - 40));
  EXPECT_EQ(train_again(), 3);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("a.npz"), HasSubstr("cut short")));
  EXPECT_EQ(read_file(path("run/model.safetensors")), before);
  EXPECT_EQ(call({"predict", path("run"), "--data", path("a.npz"), "--out", path("p.csv")}), 3);
  EXPECT_FALSE(std::filesystem::exists(path("p.csv")));
  write_arrays("wide.npz", 8, "4", 4);
  EXPECT_EQ(call({"predict", path("run"), "--data", path("wide.npz"), "--out", "-"}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("(4,)"));
  write_file_atomic(path("a.npz"), whole);
  EXPECT_EQ(train_again({"--set", "data.split.dev=0"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("data.dev"));
  EXPECT_EQ(train_again({"--set", "tasks.big.column=levels"}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("Did you mean 'level'"));
}

}  // namespace
}  // namespace detente::cli
