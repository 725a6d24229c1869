// SPDX-License-Identifier: Apache-2.0
#include <detente/train/text_vectors.h>
#include <gmock/gmock.h>
#include <tests/train/tiny_run.h>

#include <cmath>
#include <string>
#include <thread>
#include <vector>

namespace detente::train {
namespace {

using testing::HasSubstr;

using TextVectorsTest = TinyRunTest;
using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a.at(i) * b.at(i);
  return sum;
}

double distance(const Vector& a, const Vector& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a.at(i) - b.at(i)) * (a.at(i) - b.at(i));
  return std::sqrt(sum);
}

const std::vector<std::string> kTexts = {"붉은 하늘 바다",
                                         "푸른 산이 높다",
                                         "새가 난다 비가 온다 넓다 깊다",
                                         "붉은 하늘 바다",
                                         "난다",
                                         ""};

TEST_F(TextVectorsTest, AreOfLengthOneAndDoNotDependOnTheOthers) {
  const auto outcome = run("run");
  const TextVectors vectors(outcome.run.root);
  const auto all = vectors.of(kTexts);
  ASSERT_EQ(all.size(), kTexts.size());
  for (std::size_t i = 0; i < kTexts.size(); ++i) {
    EXPECT_NEAR(dot(all[i], all[i]), kTexts[i].empty() ? 0.0 : 1.0, 1e-9) << i;
    const auto alone = vectors.of(std::vector{kTexts[i]});
    EXPECT_LT(distance(alone.at(0), all[i]), 1e-6) << i;
  }
  EXPECT_LT(distance(all[0], all[3]), 1e-9);
  EXPECT_GT(distance(all[0], all[1]), 1e-3);
  EXPECT_TRUE(vectors.of({}).empty());
}

// A text that the network cannot take whole has the mean of its pieces.
TEST_F(TextVectorsTest, ALongTextIsTheMeanOfItsPieces) {
  const auto outcome = run("run", {"model.max_length=3"});
  const TextVectors vectors(outcome.run.root);
  // A syllable is a token; blanks are none.
  const auto found = vectors.of(std::vector<std::string>{"붉은푸", "른하", "붉은푸른하"});
  Vector mean(found[0].size());
  for (std::size_t j = 0; j < mean.size(); ++j) mean[j] = 3 * found[0][j] + 2 * found[1][j];
  const double length = std::sqrt(dot(mean, mean));
  for (double& x : mean) x /= length;
  EXPECT_LT(distance(mean, found[2]), 1e-6);
}

TEST_F(TextVectorsTest, NamesTellModelsApart) {
  const auto one = run("one");
  const auto two = run("two", {"seed=1"});
  EXPECT_EQ(TextVectors(one.run.root).name(), TextVectors(one.run.root).name());
  EXPECT_NE(TextVectors(one.run.root).name(), TextVectors(two.run.root).name());
}

TEST_F(TextVectorsTest, ThreadsMayAsk) {
  const auto outcome = run("run");
  const TextVectors vectors(outcome.run.root);
  const auto expected = vectors.of(kTexts);
  std::vector<std::vector<Vector>> found(4);
  std::vector<std::thread> threads;
  for (auto& one : found) {
    threads.emplace_back([&] {
      for (int turn = 0; turn < 5; ++turn) one = vectors.of(kTexts);
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& one : found) EXPECT_EQ(one, expected);
}

TEST_F(TextVectorsTest, TheTransformerMakesThemToo) {
  const auto outcome = run("run",
                           {"model={kind: transformer, width: 16, heads: 2, ffn: 16, layers: 1, "
                            "max_length: 24, positions: 64}",
                            "train.epochs=1"});
  const auto all = TextVectors(outcome.run.root).of(kTexts);
  EXPECT_NEAR(dot(all[0], all[0]), 1.0, 1e-9);
  EXPECT_LT(distance(all[0], all[3]), 1e-6);
  EXPECT_GT(distance(all[0], all[1]), 1e-3);
}

TEST_F(TextVectorsTest, RunsThatHaveNoVectorOfOneTextSaySo) {
  const auto cross = run("cross", {"model.mode=cross", "train.epochs=1"});
  EXPECT_THAT(error_of([&] { TextVectors vectors(cross.run.root); }).what(), HasSubstr("siamese"));
  write_file_atomic(folder_ / "table.csv", "x,y\n1,2\n2,4\n3,6\n4,8\n");
  write_file_atomic(recipe_path(),
                    "data: {kind: table, train: table.csv, dev: table.csv}\n"
                    "tasks: [{name: y, head: regression}]\n"
                    "train: {epochs: 1, batch_size: 2}\nthreads: 1\n");
  const auto table = run("table");
  EXPECT_THAT(error_of([&] { TextVectors vectors(table.run.root); }).what(),
              HasSubstr("data.kind table"));
}

}  // namespace
}  // namespace detente::train
