// SPDX-License-Identifier: Apache-2.0
// detente inspect on made-up runs.
#include <detente/balance/registry.h>
#include <detente/cli/cli.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/report/inspection.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>

namespace detente::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class InspectTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("detente_inspect_" +
               std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()) + "_" +
               std::to_string(::getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write_steps(int count, double cosine, const std::string& more = "") {
    std::string lines;
    for (int i = 1; i <= count; ++i) {
      lines += R"({"type":"step","losses":{"a":1,"b":1},"weights":{"a":0.5,"b":0.5},)"
               R"("grad_norms":{"a":8,"b":1},"cosines":{"a|b":)" +
               std::to_string(cosine) + R"(},"step":)" + std::to_string(i) + more + "}\n";
    }
    write_file_atomic(folder_ / "metrics.jsonl", lines);
  }
  int call(std::vector<std::string> more = {}) {
    std::vector<std::string> args = {"inspect", folder_.string()};
    args.insert(args.end(), more.begin(), more.end());
    out_.str("");
    err_.str("");
    return run(args, out_, err_);
  }

  std::filesystem::path folder_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(InspectTest, PrintsPairsTasksLayersAndAdvice) {
  write_file_atomic(folder_ / "recipe.yaml", "balance:\n  method: cagrad\n");
  write_steps(40,
              -0.5,
              R"(,"diagnosis":{"groups":{"embedding":{"grad_norms":{"a":1},"cosines":)"
              R"({"a|b":-0.25}}}})");
  ASSERT_EQ(call(), 0) << err_.str();
  EXPECT_THAT(out_.str(),
              AllOf(HasSubstr("a | b"),
                    HasSubstr("-0.50 [-0.50, -0.50]"),
                    HasSubstr("100 %"),
                    HasSubstr("embedding"),
                    HasSubstr("cagrad is made for this"),
                    HasSubstr("a's gradient is 8 times b's")));
}

TEST_F(InspectTest, AMethodThatNeedsLossesOnlyIsAdvisedOtherwise) {
  write_file_atomic(folder_ / "recipe.yaml", "balance: {method: ew}\n");
  write_steps(40, -0.5);
  ASSERT_EQ(call(), 0);
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("upgrad"), Not(HasSubstr("made for this"))));
}

TEST_F(InspectTest, JsonHoldsTheSameAndLastCutsTheStart) {
  write_steps(40, 0.25);
  ASSERT_EQ(call({"--json", "--last", "10"}), 0) << err_.str();
  const Json json = Json::parse(out_.str());
  EXPECT_EQ(json["measured"], 10);
  EXPECT_EQ(json["first_step"], 31);
  EXPECT_EQ(json["pairs"][0]["cosine"]["mean"], 0.25);
  EXPECT_EQ(call({"--last", "0"}), 2);
}

TEST_F(InspectTest, SaysWhichLinesItCouldNotRead) {
  write_steps(40, -0.5);
  write_file_atomic(folder_ / "metrics.jsonl",
                    "damaged\n" + read_file(folder_ / "metrics.jsonl") + "{\"type\":\"st");
  for (const std::vector<std::string>& more : {std::vector<std::string>{}, {"--json"}}) {
    ASSERT_EQ(call(more), 0);
    EXPECT_THAT(err_.str(), HasSubstr("warning: lines 1, 42 of metrics.jsonl could not be read"));
  }
}

TEST_F(InspectTest, WordsOfTheRunReachATerminalAsTextOnly) {
  const std::string evil = "\\u001b[31mred\\u0007\\u009b2J\\n";
  std::string lines;
  for (int i = 1; i <= 40; ++i) {
    lines += R"({"type":"step","step":)" + std::to_string(i) + R"(,"losses":{")" + evil +
             R"(":1,"b":1},"grad_norms":{")" + evil + R"(":8,"b":1},"cosines":{")" + evil +
             R"(|b":-0.5},"diagnosis":{"groups":{")" + evil + R"(":{"grad_norms":{")" + evil +
             R"(":1},"cosines":{")" + evil + R"(|b":-0.5}}}}})" + "\n";
  }
  write_file_atomic(folder_ / "metrics.jsonl", lines);
  write_file_atomic(folder_ / "summary.json",
                    R"({"name":")" + evil + R"(","method":")" + evil + "\"}");
  ASSERT_EQ(call(), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("\\x1b[31mred"));
  EXPECT_THAT(out_.str() + err_.str(), Not(::testing::ContainsRegex("\x1b|\x07|\u009b")));
  ASSERT_EQ(call({"--json"}), 0);
  EXPECT_EQ(Json::parse(out_.str())["name"], "\x1b[31mred\x07\u009b2J\n");
}

TEST_F(InspectTest, JsonIsJsonWhateverTheFoldersName) {
  const std::filesystem::path odd = folder_ / "odd\xff";
  std::filesystem::create_directory(odd);
  write_steps(40, 0.25);
  std::filesystem::rename(folder_ / "metrics.jsonl", odd / "metrics.jsonl");
  const std::vector<std::string> args = {"inspect", odd.string(), "--json"};
  ASSERT_EQ(run(args, out_, err_), 0) << err_.str();
  EXPECT_EQ(Json::parse(out_.str())["name"], "odd\uFFFD");
}

TEST_F(InspectTest, ErrorsSayWhatToDo) {
  EXPECT_EQ(call(), 3);
  EXPECT_THAT(err_.str(), HasSubstr("expected the folder of a training run"));
  write_file_atomic(folder_ / "metrics.jsonl",
                    R"({"type":"step","step":1,"losses":{"a":1,"b":1}})");
  EXPECT_EQ(call(), 3);
  EXPECT_THAT(err_.str(), HasSubstr("engine.diagnose_every"));
  // What the log does not hold no flag of training brings back.
  for (const char* lines : {"", "\n\n", R"({"type":"epoch","epoch":1,"step":9})"}) {
    write_file_atomic(folder_ / "metrics.jsonl", lines);
    EXPECT_EQ(call(), 3);
    EXPECT_THAT(err_.str(), AllOf(HasSubstr("holds no step"), HasSubstr("just begun")));
    EXPECT_THAT(err_.str(), Not(HasSubstr("engine.diagnose_every")));
  }
  write_file_atomic(folder_ / "summary.json", R"({"status":"finished","steps":40})");
  EXPECT_EQ(call(), 3);
  EXPECT_THAT(err_.str(), AllOf(HasSubstr("counts 40"), HasSubstr("emptied or lost")));
  EXPECT_THAT(err_.str(), Not(HasSubstr("engine.diagnose_every")));
  std::filesystem::remove_all(folder_);
  EXPECT_EQ(call(), 3);
  EXPECT_THAT(err_.str(), HasSubstr("there is no run folder"));
}

// Every combination of the rules' inputs; a method that is renamed must not live on in the advice.
TEST(InspectAdvice, NamesOnlyMethodsThatExist) {
  std::size_t named = 0;
  for (const double cosine : {-0.5, 0.0, 0.5}) {
    for (const double share : {0.1, 0.6, 1.0}) {
      for (const bool uses_gradients : {false, true}) {
        report::Inspection run;
        run.method = "ew";
        run.pairs = {{.first = "a", .second = "b", .cosine = {cosine, cosine, cosine, 40}}};
        run.pairs[0].conflict_share = share;
        run.tasks = {{"a", 10, 1, 1, 1, 0.9}, {"b", 1, 0, 0, 0, 0.1}};
        run.triad = {.dominated = share, .all = share, .measured = 40};
        for (const auto& item : report::advise(run, uses_gradients)) {
          for (const auto& method : item.methods) {
            EXPECT_NE(balance::find_method(method), nullptr) << method;
            EXPECT_THAT(item.advice, HasSubstr(method));
            ++named;
          }
        }
      }
    }
  }
  EXPECT_GT(named, 20U);
}

}  // namespace
}  // namespace detente::cli
