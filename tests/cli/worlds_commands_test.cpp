// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <tests/support/run_cli.h>

#include <string>
#include <vector>

namespace detente::cli {
namespace {

using test::CliRun;
using test::run_cli;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> bench_fakes(const std::string& function, std::vector<std::string> more) {
  // Without bytecode: it would be a file in the checkout.
  ::setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
  std::vector<std::string> words = {
      "bench", "worlds", "fake_worlds:" + function, "--path", DETENTE_SOURCE_DIR "/tests/worlds"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(BenchWorlds, MeasuresTheBridgeBesideTheEnvironments) {
  const CliRun run =
      run_cli(bench_fakes("five", {"--workers", "2", "--steps", "20", "--rounds", "2", "--json"}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.err, "");
  const Json json = run.json();
  EXPECT_THAT(json.at("setting").get<std::string>(), HasSubstr("five fakes, horizon 6"));
  EXPECT_EQ(json.at("tasks").size(), 5U);
  EXPECT_EQ(json.at("workers"), 2);
  EXPECT_EQ(json.at("lost"), 0);
  ASSERT_EQ(json.at("rounds").size(), 2U);
  for (const Json& round : json.at("rounds")) {
    EXPECT_GT(round.at("own_per_s").get<double>(), 0);
    EXPECT_NEAR(round.at("ratio").get<double>(),
                round.at("bridge_per_s").get<double>() / round.at("own_per_s").get<double>(),
                1e-9);
  }
  const CliRun text = run_cli(bench_fakes("two", {"--steps", "3", "--rounds", "1"}));
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("median"));
}

// The fakes' expert drives the first number up to 1 or down to -1, and above 0.4 is a success, so
// that of an episode that begins above 0.5 is one at once.
TEST(BenchWorlds, CountsTheSuccessesOfExperts) {
  const CliRun run = run_cli(bench_fakes("two", {"--workers", "1", "--experts", "8", "--json"}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json json = run.json();
  EXPECT_THAT(json.at("setting").get<std::string>(), HasSubstr("which ends the episode"));
  for (const Json& task : json.at("experts")) {
    EXPECT_EQ(task.at("episodes"), 8);
    EXPECT_GT(task.at("successes").get<int>(), 0);
    EXPECT_LT(task.at("successes").get<int>(), 8);
  }
  EXPECT_THAT(run_cli(bench_fakes("two", {"--experts", "1"})).out, HasSubstr("successes"));
}

TEST(BenchWorlds, SaysWhatIsWrong) {
  const CliRun printing = run_cli(bench_fakes("printing", {"--workers", "1"}));
  EXPECT_EQ(printing.exit_code, 2);
  EXPECT_THAT(printing.err, HasSubstr("no such scene"));
  EXPECT_EQ(printing.out, "");
  EXPECT_EQ(run_cli(bench_fakes("two", {"--goals", "some"})).exit_code, 2);
  EXPECT_EQ(run_cli(bench_fakes("two", {"--python", "detente-no-such-python"})).exit_code, 3);
  EXPECT_EQ(run_cli({"bench", "worlds"}).exit_code, 2);
}

TEST(DoctorMetaworld, SaysWhatIsMissingAndHowToGetIt) {
  const CliRun run = run_cli({"doctor", "--metaworld", "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json json = run.json();
  EXPECT_TRUE(json.at("python").is_string());
  EXPECT_THAT(json.at("command").get<std::string>(), HasSubstr("pip install metaworld=="));
  if (json.at("problem") == "") {
    EXPECT_EQ(json.at("mt10").size(), 10U);
    EXPECT_EQ(json.at("observation"), 39);
    EXPECT_GT(json.at("step_ms").get<double>(), 0);
  } else if (json.at("packages").at("metaworld").is_null()) {
    EXPECT_THAT(json.at("missing").dump(), HasSubstr("\"metaworld\""));
    const CliRun text = run_cli({"doctor", "--metaworld", "--strict"});
    EXPECT_EQ(text.exit_code, 1);
    EXPECT_THAT(text.out, HasSubstr("-m pip install metaworld=="));
  }
}

TEST(DoctorMetaworld, SaysThatAPythonDoesNotAnswer) {
  for (const char* python : {"detente-no-such-python", "true"}) {
    const CliRun run = run_cli({"doctor", "--metaworld", "--strict", "--python", python});
    EXPECT_EQ(run.exit_code, 1);
    EXPECT_THAT(run.out, HasSubstr("does not answer"));
    EXPECT_THAT(run.out, Not(HasSubstr("-m pip")));
    const Json json = run_cli({"doctor", "--metaworld", "--json", "--python", python}).json();
    EXPECT_TRUE(json.at("python").is_null());
    EXPECT_THAT(json.at("problem").get<std::string>(), HasSubstr(python));
  }
  EXPECT_EQ(run_cli({"doctor", "--python", "python3"}).exit_code, 2);
  EXPECT_EQ(run_cli({"doctor", "--metaworld", "--launch"}).exit_code, 2);
}

}  // namespace
}  // namespace detente::cli
