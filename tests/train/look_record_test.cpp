// SPDX-License-Identifier: Apache-2.0
// looks.json of runs: what is in it, and when there is one.
#include <detente/report/looks.h>
#include <detente/report/run_data.h>
#include <gmock/gmock.h>
#include <tests/support/write_images.h>
#include <tests/train/tiny_run.h>

namespace detente::train {
namespace {

class LookRecordTest : public TinyRunTest {
 protected:
  void SetUp() override {
    TinyRunTest::SetUp();
    std::filesystem::create_directories(folder_ / "pictures");
    std::string list = "image,way\n";
    for (int i = 0; i < 60; ++i) {
      data::Image image = test::noise(8, 8, 3, i);
      for (auto& value : image.values) value = static_cast<std::uint8_t>(value / 4 + i % 2 * 120);
      const std::string name = "pictures/" + std::to_string(i) + ".png";
      write_file_atomic(folder_ / name, test::png_file(image));
      list += name + (i % 2 == 0 ? ",dark\n" : ",light\n");
    }
    write_file_atomic(folder_ / "list.csv", list);
    write_file_atomic(
        recipe_path(),
        "data: {kind: images, train: list.csv, split: {dev: 0.2}}\n"
        "model: {kind: vit, patch: 4, width: 12, layers: 2, heads: 2, ffn: 16, dropout: 0}\n"
        "tasks:\n"
        "  - {name: way, kind: probe, head: classes, class_names: [dark, light]}\n"
        "train:\n"
        "  objective: dino\n"
        "  dino: {global_crops: 2, local_crops: 2, global_size: 8, local_size: 4, "
        "collapse: ignore, teacher_warmup_epochs: 0, "
        "head: {hidden: 8, bottleneck: 8, out: 16}}\n"
        "  epochs: 3\n"
        "  batch_size: 16\n"
        "  probe_every: 1\n"
        "threads: 1\n");
  }

  std::optional<report::RunLooks> looks_of(const std::string& out) const {
    return report::parse_looks(read_file(folder_ / out / "looks.json"));
  }
};

TEST_F(LookRecordTest, ShowsViewsAttentionAndNeighboursOfTheKeptModel) {
  const TrainOutcome outcome = run("run");
  const auto looks = looks_of("run");
  ASSERT_TRUE(looks);
  EXPECT_EQ(looks->epoch, outcome.summary["best_epoch"].get<std::int64_t>());
  ASSERT_EQ(looks->views.size(), report::kViewedImages);
  ASSERT_EQ(looks->views[0].views.size(), 4U);
  EXPECT_EQ(looks->views[0].views[1].name, "global 2");
  EXPECT_EQ(looks->views[0].views[2].name, "local 1");
  EXPECT_FALSE(looks->views[0].views[3].picture.empty());
  EXPECT_EQ(looks->attention.size(), report::kAttendedImages);
  ASSERT_EQ(looks->asked.size(), report::kAskedImages);
  EXPECT_EQ(looks->searched, 48U);
  EXPECT_EQ(looks->probe, "way");
  for (const auto& asked : looks->asked) {
    ASSERT_EQ(asked.nearest.size(), report::kNeighbours);
    EXPECT_THAT(asked.label, ::testing::AnyOf("dark", "light"));
    for (std::size_t i = 0; i < asked.nearest.size(); ++i) {
      EXPECT_EQ(asked.nearest[i].right, asked.nearest[i].label == asked.label);
      const std::size_t before = i > 0 ? i - 1 : 0;
      EXPECT_LE(asked.nearest[i].cosine, asked.nearest[before].cosine + 1e-6);
    }
  }
  EXPECT_TRUE(report::read_run(folder_ / "run").warnings().empty());
}

// Without a probe there are no labels, and other networks have no attention.
TEST_F(LookRecordTest, ShowsWhatThereIs) {
  std::string text = read_file(recipe_path());
  const std::size_t begin = text.find("tasks:");
  text.erase(begin, text.find("train:\n", begin) - begin);
  const std::size_t pooling = text.find("dropout: 0");
  text.insert(pooling, "pooling: mean, ");
  write_file_atomic(recipe_path(), text);
  run("run", {"train.epochs=1"});
  const auto looks = looks_of("run");
  ASSERT_TRUE(looks);
  EXPECT_EQ(looks->views.size(), report::kViewedImages);
  EXPECT_TRUE(looks->attention.empty());
  ASSERT_EQ(looks->asked.size(), report::kAskedImages);
  EXPECT_EQ(looks->asked[0].label, "");
  EXPECT_EQ(looks->probe, "");
}

TEST_F(LookRecordTest, ResumedEqualsNeverStoppedAndForceStartsAnew) {
  run("whole");
  run_with_trigger("stopped", "epoch 1/3 in", [] { std::raise(SIGINT); });
  run("stopped", {}, ExistingRun::kResume);
  EXPECT_EQ(read_file(folder_ / "whole/looks.json"), read_file(folder_ / "stopped/looks.json"));
  write_file_atomic(folder_ / "stopped/looks.json", "left over");
  run("stopped", {}, ExistingRun::kForce);
  EXPECT_TRUE(looks_of("stopped"));
}

}  // namespace
}  // namespace detente::train
