// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <tests/support/run_cli.h>

#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace detente::cli {
namespace {

using test::CliRun;
using test::run_cli;
using Set = std::map<std::string, std::string>;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// Variables of this process, taken away again at the end.
class Variables {
 public:
  explicit Variables(Set set) : set_(std::move(set)) {
    for (const auto& [name, value] : set_) ::setenv(name.c_str(), value.c_str(), 1);
  }
  ~Variables() {
    for (const auto& [name, value] : set_) ::unsetenv(name.c_str());
  }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;

 private:
  Set set_;
};

TEST(DoctorLaunch, SaysThatAProcessIsAlone) {
  const Variables alone(Set{{"DETENTE_LAUNCHER", "none"}});
  const CliRun run = run_cli({"doctor", "--launch", "--strict"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("none: this process is alone"));
  for (const char* command : {"--nproc", "torchrun", "mpirun", "srun", "#SBATCH"}) {
    EXPECT_THAT(run.out, HasSubstr(command));
  }
  EXPECT_THAT(run.out, Not(HasSubstr("problem")));
}

TEST(DoctorLaunch, SaysWhatALauncherSaid) {
  const Variables variables(
      {{"RANK", "2"}, {"WORLD_SIZE", "3"}, {"MASTER_ADDR", "127.0.0.1"}, {"MASTER_PORT", "29500"}});
  const CliRun run = run_cli({"doctor", "--launch"});
  EXPECT_THAT(run.out, HasSubstr("rank         2 of 3"));
  EXPECT_THAT(run.out, HasSubstr("127.0.0.1 (127.0.0.1), port 29500, store kept by rank 0"));
  EXPECT_THAT(run.out, HasSubstr("WORLD_SIZE=3"));
  const Json json = run_cli({"doctor", "--launch", "--json"}).json();
  EXPECT_EQ(json.at("by"), "environment");
  EXPECT_EQ(json.at("rank"), 2);
  EXPECT_EQ(json.at("size"), 3);
  EXPECT_EQ(json.at("port"), 29500);
  EXPECT_EQ(json.at("problem"), "");
  EXPECT_THAT(json.at("resolved").get<std::vector<std::string>>(), ElementsAre("127.0.0.1"));
  EXPECT_THAT(json.at("seen").get<std::vector<std::string>>(), Contains("RANK=2"));
  EXPECT_EQ(json.at("commands").size(), 4U);
}

TEST(DoctorLaunch, SaysWhatIsWrong) {
  Set set = {{"RANK", "3"}, {"WORLD_SIZE", "3"}};
  {
    const Variables variables(set);
    const CliRun run = run_cli({"doctor", "--launch"});
    EXPECT_EQ(run.exit_code, 0);
    EXPECT_THAT(run.out, HasSubstr("problem: "));
    EXPECT_THAT(run.out, HasSubstr("MASTER_ADDR is not set"));
    EXPECT_EQ(run_cli({"doctor", "--launch", "--strict"}).exit_code, 1);
  }
  set = {{"RANK", "0"},
         {"WORLD_SIZE", "3"},
         {"MASTER_ADDR", "no-such-host.invalid"},
         {"MASTER_PORT", "29500"}};
  const Variables variables(set);
  const CliRun run = run_cli({"doctor", "--launch", "--strict"});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.out,
              HasSubstr("'no-such-host.invalid' of rank 0's machine stands for no address"));
}

}  // namespace
}  // namespace detente::cli
