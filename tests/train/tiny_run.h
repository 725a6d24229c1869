// SPDX-License-Identifier: Apache-2.0
// A two-task data set of made-up sentences whose score is their word overlap, and a recipe that
// trains on it in well under a second.
#pragma once

#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/rng.h>
#include <detente/train/loaded_run.h>
#include <detente/train/trainer.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <functional>
#include <ostream>
#include <streambuf>
#include <string>
#include <vector>

namespace detente::train {

using test::error_of;

inline std::vector<Json> read_lines(const std::filesystem::path& path) {
  std::vector<Json> lines;
  const std::string text = read_file(path);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    lines.push_back(Json::parse(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return lines;
}

// What must not depend on when a run was stopped: everything but times.
inline Json timeless(const std::vector<Json>& lines) {
  Json result = Json::array();
  for (Json line : lines) {
    line.erase("ms");
    line.erase("seconds");
    line.erase("examples_per_second");
    result.push_back(std::move(line));
  }
  return result;
}

class TinyRunTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() /
              (std::string("detente_") + info->test_suite_name() + "_" + info->name() + "_" +
               std::to_string(::getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    write_file_atomic(folder_ / "train.tsv", rows(96, 1));
    write_file_atomic(folder_ / "dev.tsv", rows(40, 2));
    write_recipe("");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static std::string rows(int count, std::uint64_t seed) {
    static const std::vector<std::string> words = {"붉은",
                                                   "푸른",
                                                   "하늘",
                                                   "바다",
                                                   "산이",
                                                   "높다",
                                                   "깊다",
                                                   "넓다",
                                                   "새가",
                                                   "난다",
                                                   "비가",
                                                   "온다"};
    Rng rng(seed);
    std::string text = "sentence1\tsentence2\tscore\tsame\n";
    for (int i = 0; i < count; ++i) {
      std::string a;
      std::string b;
      int shared = 0;
      for (int j = 0; j < 5; ++j) {
        const auto& word = words[rng.below(words.size())];
        const bool equal = rng.uniform() < 0.1 + 0.2 * static_cast<double>(i % 5);
        const auto& other = equal ? word : words[rng.below(words.size())];
        shared += word == other ? 1 : 0;
        a += (j > 0 ? " " : "") + word;
        b += (j > 0 ? " " : "") + other;
      }
      text +=
          a + "\t" + b + "\t" + std::to_string(shared) + "\t" + (shared >= 3 ? "1" : "0") + "\n";
    }
    return text;
  }

  void write_recipe(const std::string& more) {
    write_file_atomic(recipe_path(),
                      "data: {train: train.tsv, dev: dev.tsv}\n"
                      "tokenizer: {kind: syllable, min_count: 1}\n"
                      "model: {width: 16, heads: 2, ffn: 16, hidden: 16, max_length: 24}\n"
                      "tasks:\n"
                      "  - {name: score, head: regression, output: scaled, high: 5, "
                      "loss: {name: correlation, alpha: 0.2}}\n"
                      "  - {name: same, head: binary}\n"
                      "engine: {diagnose_every: 1}\n"
                      "optimizer: {lr: 0.01}\n"
                      "train: {epochs: 3, batch_size: 16}\n"
                      "threads: 1\n" +
                          more);
  }

  std::filesystem::path recipe_path() const { return folder_ / "tiny.yaml"; }
  Recipe recipe(const std::vector<std::string>& overrides = {}) const {
    return load_recipe(recipe_path(), overrides);
  }

  TrainOutcome run(const std::string& out,
                   const std::vector<std::string>& overrides = {},
                   ExistingRun existing = ExistingRun::kRefuse) {
    std::ostream silent(nullptr);
    return train(recipe(overrides), {folder_ / out, existing, Progress::Style::kNone}, silent);
  }

  // Calls `action` once when the log shows `text`.
  class Trigger : public std::streambuf {
   public:
    Trigger(std::string text, std::function<void()> action)
        : text_(std::move(text)), action_(std::move(action)) {}

   protected:
    int overflow(int c) override {
      seen_ += static_cast<char>(c);
      if (action_ && seen_.find(text_) != std::string::npos) {
        action_();
        action_ = nullptr;
      }
      return c;
    }

   private:
    std::string text_;
    std::function<void()> action_;
    std::string seen_;
  };

  TrainOutcome run_with_trigger(const std::string& out,
                                const std::string& text,
                                const std::function<void()>& action,
                                const std::vector<std::string>& overrides = {}) {
    Trigger trigger(text, action);
    std::ostream log(&trigger);
    return train(
        recipe(overrides), {folder_ / out, ExistingRun::kRefuse, Progress::Style::kLines}, log);
  }

  struct Interrupted {
    TrainOutcome stopped;
    TrainOutcome resumed;
  };

  // Trains `whole` and trains `stopped`, the latter interrupted in its second epoch and gone on with:
  // both must end with one model and one log.
  Interrupted expect_resumed_equals_whole(const std::string& whole,
                                          const std::string& stopped,
                                          const std::vector<std::string>& overrides) {
    run(whole, overrides);
    Interrupted runs;
    runs.stopped = run_with_trigger(
        stopped, "epoch 1/3 in", [] { std::raise(SIGINT); }, overrides);
    EXPECT_TRUE(runs.stopped.interrupted);
    runs.resumed = run(stopped, overrides, ExistingRun::kResume);
    EXPECT_EQ(read_file(folder_ / whole / "model.safetensors"),
              read_file(folder_ / stopped / "model.safetensors"));
    EXPECT_EQ(read_file(folder_ / whole / "answers.json"),
              read_file(folder_ / stopped / "answers.json"));
    EXPECT_EQ(timeless(read_lines(folder_ / whole / "metrics.jsonl")),
              timeless(read_lines(folder_ / stopped / "metrics.jsonl")));
    return runs;
  }

  std::filesystem::path folder_;
};

}  // namespace detente::train
