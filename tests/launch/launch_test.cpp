// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/launch/launch.h>
#include <gmock/gmock.h>
#include <tests/support/error_of.h>

#include <cstdlib>
#include <map>
#include <string>

namespace detente::launch {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Set = std::map<std::string, std::string>;

Launch read(const Set& set) {
  return read_launch([&set](const std::string& name) -> std::optional<std::string> {
    const auto found = set.find(name);
    if (found == set.end()) return std::nullopt;
    return found->second;
  });
}

Set with(Set set, const Set& changes) {
  for (const auto& [name, value] : changes) set[name] = value;
  return set;
}

Set without(Set set, const std::string& name) {
  set.erase(name);
  return set;
}

void expect_refused(const Set& set, const std::string& words) {
  const Error error = test::error_of([&set] { read(set); });
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(error.what(), HasSubstr(words));
}

void expect_alone(const Set& set) {
  const Launch launch = read(set);
  EXPECT_EQ(launch.size, 1);
  EXPECT_EQ(launch.rank, 0);
  EXPECT_EQ(launch.port, 0);
  EXPECT_EQ(launch.local_size, 1);
  EXPECT_FALSE(launch.store_is_there);
}

// As torchrun 2.13 sets them.
const Set kTorchrun = {{"TORCHELASTIC_RUN_ID", "none"},
                       {"RANK", "3"},
                       {"WORLD_SIZE", "4"},
                       {"LOCAL_RANK", "1"},
                       {"LOCAL_WORLD_SIZE", "2"},
                       {"GROUP_RANK", "1"},
                       {"MASTER_ADDR", "node7"},
                       {"MASTER_PORT", "29512"},
                       {"TORCHELASTIC_RESTART_COUNT", "2"},
                       {"TORCHELASTIC_MAX_RESTARTS", "3"},
                       {"TORCHELASTIC_USE_AGENT_STORE", "True"}};

// Recorded from Open MPI 4.1.4, `mpirun -np 2`, rank 1.
const Set kOpenMpi = {{"OMPI_COMM_WORLD_RANK", "1"},
                      {"OMPI_COMM_WORLD_SIZE", "2"},
                      {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                      {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
                      {"OMPI_COMM_WORLD_NODE_RANK", "1"},
                      {"OMPI_MCA_ess_base_jobid", "1717370881"},
                      {"PMIX_NAMESPACE", "1717370881"},
                      {"PMIX_RANK", "1"}};

// Recorded from MPICH 4.0.2, `mpirun -np 2`, rank 1.
const Set kMpich = {{"PMI_RANK", "1"},
                    {"PMI_SIZE", "2"},
                    {"MPI_LOCALRANKID", "1"},
                    {"MPI_LOCALNRANKS", "2"},
                    {"PMI_FD", "8"}};

// Recorded from SLURM 22.05: the script of `sbatch -n2` on a cluster of one node.
const Set kSlurmScript = {{"SLURM_JOB_ID", "11"},
                          {"SLURM_JOB_NODELIST", "here"},
                          {"SLURM_JOB_NUM_NODES", "1"},
                          {"SLURM_LOCALID", "0"},
                          {"SLURM_NNODES", "1"},
                          {"SLURM_NODEID", "0"},
                          {"SLURM_NPROCS", "2"},
                          {"SLURM_NTASKS", "2"},
                          {"SLURM_PROCID", "0"},
                          {"SLURM_TASKS_PER_NODE", "2"}};

// And the second task of `srun` in it.
const Set kSlurmTask = with(kSlurmScript,
                            {{"SLURM_LOCALID", "1"},
                             {"SLURM_PROCID", "1"},
                             {"SLURM_STEPID", "3"},
                             {"SLURM_STEP_ID", "3"},
                             {"SLURM_STEP_NODELIST", "here"},
                             {"SLURM_STEP_NUM_NODES", "1"},
                             {"SLURM_STEP_NUM_TASKS", "2"},
                             {"SLURM_STEP_TASKS_PER_NODE", "2"}});

const Set kOwn = {{"DETENTE_LAUNCHER", "detente"},
                  {"DETENTE_JOB", "0123abcd"},
                  {"DETENTE_ATTEMPT", "1"},
                  {"RANK", "1"},
                  {"WORLD_SIZE", "2"},
                  {"LOCAL_RANK", "1"},
                  {"LOCAL_WORLD_SIZE", "2"},
                  {"MASTER_ADDR", "127.0.0.1"},
                  {"MASTER_PORT", "20001"}};

const Set kEnvironment = {
    {"RANK", "1"}, {"WORLD_SIZE", "3"}, {"MASTER_ADDR", "10.0.0.1"}, {"MASTER_PORT", "29500"}};

TEST(ReadLaunch, IsAloneInAnEmptyEnvironment) {
  const Launch launch = read({});
  EXPECT_EQ(launch.by, "");
  EXPECT_EQ(launch.attempt, 0);
  EXPECT_THAT(launch.seen, IsEmpty());
  expect_alone({});
}

TEST(ReadLaunch, ReadsTheProcess) {
  ::setenv("DETENTE_LAUNCHER", "none", 1);
  EXPECT_THAT(read_launch().seen, Contains("DETENTE_LAUNCHER=none"));
  ::unsetenv("DETENTE_LAUNCHER");
}

TEST(ReadLaunch, KnowsItsOwnWorkers) {
  const Launch launch = read(kOwn);
  EXPECT_EQ(launch.by, "detente");
  EXPECT_EQ(launch.rank, 1);
  EXPECT_EQ(launch.size, 2);
  EXPECT_EQ(launch.local_rank, 1);
  EXPECT_EQ(launch.local_size, 2);
  EXPECT_EQ(launch.address, "127.0.0.1");
  EXPECT_EQ(launch.port, 20001);
  EXPECT_EQ(launch.attempt, 1);
  EXPECT_EQ(launch.job, "0123abcd");
  EXPECT_FALSE(launch.store_is_there);
}

TEST(ReadLaunch, KnowsTorchrun) {
  const Launch launch = read(kTorchrun);
  EXPECT_EQ(launch.by, "torchrun");
  EXPECT_EQ(launch.rank, 3);
  EXPECT_EQ(launch.size, 4);
  EXPECT_EQ(launch.local_rank, 1);
  EXPECT_EQ(launch.local_size, 2);
  EXPECT_EQ(launch.address, "node7");
  EXPECT_EQ(launch.port, 29512);
  EXPECT_EQ(launch.attempt, 2);
  EXPECT_EQ(launch.job, "");
  EXPECT_TRUE(launch.store_is_there);
  EXPECT_THAT(launch.seen, Contains("WORLD_SIZE=4"));
  EXPECT_EQ(read(with(kTorchrun, {{"TORCHELASTIC_RUN_ID", "mine"}})).job, "mine");
  EXPECT_FALSE(read(with(kTorchrun, {{"TORCHELASTIC_USE_AGENT_STORE", "False"}})).store_is_there);
  EXPECT_FALSE(read(without(kTorchrun, "TORCHELASTIC_USE_AGENT_STORE")).store_is_there);
}

TEST(ReadLaunch, PrefersTorchrunToWhatStartedIt) {
  Set set = with(kSlurmTask, kTorchrun);
  EXPECT_EQ(read(set).by, "torchrun");
  EXPECT_EQ(read(with(set, kOpenMpi)).by, "torchrun");
  // A requeued job starts torchrun anew, which counts from 0 again.
  set["SLURM_RESTART_COUNT"] = "4";
  EXPECT_EQ(read(set).attempt, 6);
  EXPECT_EQ(read(with(set, kOwn)).by, "detente");
}

TEST(ReadLaunch, KnowsOpenMpiOnOneMachine) {
  const Launch launch = read(kOpenMpi);
  EXPECT_EQ(launch.by, "Open MPI");
  EXPECT_EQ(launch.rank, 1);
  EXPECT_EQ(launch.size, 2);
  EXPECT_EQ(launch.local_rank, 1);
  EXPECT_EQ(launch.local_size, 2);
  EXPECT_EQ(launch.address, "127.0.0.1");
  EXPECT_GE(launch.port, 20000);
  EXPECT_LT(launch.port, 32000);
  EXPECT_EQ(launch.job, "1717370881");
  // All ranks of a job meet at one port, another job does not.
  EXPECT_EQ(read(with(kOpenMpi, {{"OMPI_COMM_WORLD_RANK", "0"}})).port, launch.port);
  EXPECT_NE(read(with(kOpenMpi, {{"PMIX_NAMESPACE", "1717370882"}})).port, launch.port);
  // Without PMIx's name the older versions' is the job's, and without any the usual port is left.
  EXPECT_EQ(read(without(kOpenMpi, "PMIX_NAMESPACE")).port, launch.port);
  EXPECT_EQ(read(without(without(kOpenMpi, "PMIX_NAMESPACE"), "OMPI_MCA_ess_base_jobid")).port,
            29500);
  EXPECT_EQ(read(with(kOpenMpi, {{"MASTER_PORT", "31000"}})).port, 31000);
}

TEST(ReadLaunch, AsksForTheFirstMachineOfMpi) {
  const Set two = with(kOpenMpi, {{"OMPI_COMM_WORLD_SIZE", "4"}});
  expect_refused(two, "mpirun -x MASTER_ADDR=");
  const Launch launch = read(with(two, {{"MASTER_ADDR", "node1"}}));
  EXPECT_EQ(launch.address, "node1");
  EXPECT_EQ(launch.port, read(kOpenMpi).port);
  expect_refused(with(kMpich, {{"PMI_SIZE", "3"}}), "mpirun -genv MASTER_ADDR");
}

TEST(ReadLaunch, KnowsMpich) {
  const Launch launch = read(kMpich);
  EXPECT_EQ(launch.by, "MPICH");
  EXPECT_EQ(launch.rank, 1);
  EXPECT_EQ(launch.local_rank, 1);
  EXPECT_EQ(launch.local_size, 2);
  EXPECT_EQ(launch.address, "127.0.0.1");
  EXPECT_EQ(launch.port, 29500);
}

TEST(ReadLaunch, KnowsTheTasksOfSrun) {
  const Launch launch = read(kSlurmTask);
  EXPECT_EQ(launch.by, "SLURM");
  EXPECT_EQ(launch.rank, 1);
  EXPECT_EQ(launch.size, 2);
  EXPECT_EQ(launch.local_rank, 1);
  EXPECT_EQ(launch.local_size, 2);
  EXPECT_EQ(launch.address, "127.0.0.1");
  EXPECT_EQ(launch.port, 20000 + 11 + 3 * 997);
  EXPECT_EQ(launch.job, "11.3");
  EXPECT_EQ(launch.attempt, 0);
  EXPECT_EQ(read(with(kSlurmTask, {{"SLURM_RESTART_COUNT", "2"}})).attempt, 2);
  // --mpi=pmi2 sets MPICH's variables as well.
  EXPECT_EQ(
      read(with(kSlurmTask, {{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}, {"PMI_JOBID", "11.3"}})).by,
      "SLURM");
  EXPECT_EQ(read(with(kSlurmTask, kOpenMpi)).by, "Open MPI");
}

TEST(ReadLaunch, FindsTheFirstMachineOfSrun) {
  const Set task = with(kSlurmTask,
                        {{"SLURM_PROCID", "4"},
                         {"SLURM_LOCALID", "0"},
                         {"SLURM_NODEID", "2"},
                         {"SLURM_STEP_NUM_NODES", "3"},
                         {"SLURM_STEP_NUM_TASKS", "5"},
                         {"SLURM_STEP_TASKS_PER_NODE", "2(x2),1"},
                         {"SLURM_STEP_NODELIST", "gpu[08-09],cpu1"}});
  const Launch launch = read(task);
  EXPECT_EQ(launch.address, "gpu08");
  EXPECT_EQ(launch.local_size, 1);
  EXPECT_EQ(read(with(task, {{"SLURM_NODEID", "1"}, {"SLURM_LOCALID", "1"}})).local_size, 2);
  EXPECT_EQ(
      read(with(without(task, "SLURM_STEP_NODELIST"), {{"SLURM_JOB_NODELIST", "n[3-4]"}})).address,
      "n3");
  EXPECT_EQ(read(with(task, {{"MASTER_ADDR", "10.0.0.9"}})).address, "10.0.0.9");
  expect_refused(with(task, {{"SLURM_STEP_NODELIST", "gpu[08"}}), "SLURM_STEP_NODELIST");
  expect_refused(without(without(task, "SLURM_STEP_NODELIST"), "SLURM_JOB_NODELIST"),
                 "MASTER_ADDR");
}

TEST(ReadLaunch, LeavesProcessesOfAnAllocationAlone) {
  expect_alone(kSlurmScript);
  EXPECT_EQ(read(kSlurmScript).by, "");
  // salloc's shell has no task's number at all, and in newer versions is a step with a reserved number.
  expect_alone(without(without(kSlurmScript, "SLURM_PROCID"), "SLURM_LOCALID"));
  expect_alone(with(kSlurmScript, {{"SLURM_STEP_ID", "4294967290"}}));
  expect_alone(
      with(kSlurmTask, {{"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_STEP_NODELIST", "gpu[08"}}));
  expect_alone(with(kSlurmScript, {{"SLURM_STEP_ID", "what"}}));
  // A requeued job is known to have run before.
  EXPECT_EQ(read(with(kSlurmScript, {{"SLURM_RESTART_COUNT", "1"}})).attempt, 1);
  EXPECT_EQ(read(with(kSlurmScript, {{"SLURM_RESTART_COUNT", "?"}})).attempt, 0);
  EXPECT_EQ(read({{"SLURM_RESTART_COUNT", "1"}}).attempt, 0);
}

TEST(ReadLaunch, LeavesOneProcessAloneHoweverOddTheRest) {
  for (const Set& one : {with(kTorchrun, {{"WORLD_SIZE", "1"}}),
                         with(kOpenMpi, {{"OMPI_COMM_WORLD_SIZE", "1"}}),
                         with(kMpich, {{"PMI_SIZE", "1"}}),
                         with(kSlurmTask, {{"SLURM_STEP_NUM_TASKS", "1"}}),
                         with(kOwn, {{"WORLD_SIZE", "1"}}),
                         with(kEnvironment, {{"WORLD_SIZE", "1"}})}) {
    expect_alone(one);
    for (const auto& [name, value] : one) {
      // What says how many there are has to be right, and the rest may be anything.
      if (value == "1" && name.find("SIZE") != std::string::npos) continue;
      if (name == "DETENTE_LAUNCHER" || name.find("NUM_TASKS") != std::string::npos) continue;
      expect_alone(with(one, {{name, "1"}}));
    }
  }
  EXPECT_EQ(read(with(kTorchrun, {{"WORLD_SIZE", "1"}})).attempt, 2);
  EXPECT_EQ(read(with(kTorchrun, {{"WORLD_SIZE", "1"}})).by, "torchrun");
  EXPECT_EQ(read(with(kOwn, {{"WORLD_SIZE", "1"}})).attempt, 1);
}

TEST(ReadLaunch, TakesAStrayRankForWhatItIs) {
  expect_alone({{"RANK", "0"}});
  expect_alone({{"RANK", "captain"}});
  expect_alone({{"RANK", "0"}, {"MASTER_ADDR", "10.0.0.1"}});
  expect_alone({{"LOCAL_RANK", "2"}});
  expect_alone({{"MASTER_ADDR", "10.0.0.1"}, {"MASTER_PORT", "29500"}});
  expect_alone({{"PMI_RANK", "0"}});
  expect_alone({{"OMPI_COMM_WORLD_RANK", "0"}});
  // It must not train as if it were the only one.
  expect_refused({{"RANK", "2"}}, "WORLD_SIZE is not set");
  expect_refused({{"RANK", "0"}, {"MASTER_ADDR", "10.0.0.1"}, {"MASTER_PORT", "29500"}},
                 "WORLD_SIZE is not set");
  expect_refused({{"WORLD_SIZE", "2"}}, "RANK is not set");
}

TEST(ReadLaunch, ReadsThePlainEnvironment) {
  const Launch launch = read(kEnvironment);
  EXPECT_EQ(launch.by, "environment");
  EXPECT_EQ(launch.rank, 1);
  EXPECT_EQ(launch.size, 3);
  EXPECT_EQ(launch.local_rank, 0);
  EXPECT_EQ(launch.address, "10.0.0.1");
  EXPECT_EQ(launch.port, 29500);
  const Launch here = read(with(kEnvironment, {{"MASTER_ADDR", "127.0.0.1"}}));
  EXPECT_EQ(here.local_rank, 1);
  EXPECT_EQ(here.local_size, 3);
  EXPECT_EQ(read(with(kEnvironment, {{"MASTER_ADDR", "[fd00::2]"}})).address, "fd00::2");
  EXPECT_EQ(read(with(kEnvironment, {{"LOCAL_RANK", "1"}, {"LOCAL_WORLD_SIZE", "2"}})).local_rank,
            1);
}

TEST(ReadLaunch, IsAloneWhereItIsTold) {
  expect_alone(with(with(kSlurmTask, kTorchrun), {{"DETENTE_LAUNCHER", "none"}}));
  expect_refused({{"DETENTE_LAUNCHER", "no"}}, "expected 'none'");
}

TEST(ReadLaunch, TakesAnEmptyVariableForNone) {
  expect_alone(
      {{"RANK", ""}, {"WORLD_SIZE", ""}, {"DETENTE_LAUNCHER", ""}, {"OMPI_COMM_WORLD_SIZE", ""}});
  expect_refused(with(kEnvironment, {{"MASTER_ADDR", ""}}), "MASTER_ADDR is not set");
}

TEST(ReadLaunch, NamesWhatIsMissing) {
  for (const char* name :
       {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}) {
    expect_refused(without(kTorchrun, name), std::string(name) + " is not set");
    expect_refused(without(kOwn, name), std::string(name) + " is not set");
  }
  for (const char* name : {"RANK", "WORLD_SIZE", "MASTER_PORT", "MASTER_ADDR"}) {
    expect_refused(without(kEnvironment, name), std::string(name) + " is not set");
  }
  for (const char* name :
       {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"}) {
    expect_refused(without(kOpenMpi, name), std::string(name) + " is not set");
  }
  expect_refused(without(kTorchrun, "RANK"), "DETENTE_LAUNCHER=none");
}

TEST(ReadLaunch, NamesWhatIsWrong) {
  expect_refused(with(kTorchrun, {{"RANK", "4"}}), "RANK=4 does not fit WORLD_SIZE=4");
  expect_refused(with(kTorchrun, {{"RANK", "-1"}}), "RANK is '-1'");
  expect_refused(with(kTorchrun, {{"RANK", "3x"}}), "RANK is '3x'; expected a whole number >= 0");
  expect_refused(with(kTorchrun, {{"WORLD_SIZE", "0"}}), "WORLD_SIZE is '0'");
  expect_refused(with(kTorchrun, {{"WORLD_SIZE", "99999999999"}}), "WORLD_SIZE");
  expect_refused(with(kTorchrun, {{"LOCAL_RANK", "2"}}),
                 "LOCAL_RANK=2 does not fit LOCAL_WORLD_SIZE=2");
  expect_refused(with(kTorchrun, {{"LOCAL_WORLD_SIZE", "5"}}), "LOCAL_WORLD_SIZE=5");
  expect_refused(with(kTorchrun, {{"MASTER_PORT", "0"}}), "MASTER_PORT is '0'");
  expect_refused(with(kTorchrun, {{"MASTER_PORT", "65536"}}), "MASTER_PORT is 65536");
  expect_refused(with(kTorchrun, {{"MASTER_ADDR", "node7:29500"}}), "MASTER_PORT");
  expect_refused(with(kTorchrun, {{"MASTER_ADDR", "tcp://node7"}}), "MASTER_ADDR is 'tcp://node7'");
  expect_refused(with(kTorchrun, {{"TORCHELASTIC_RESTART_COUNT", "x"}}),
                 "TORCHELASTIC_RESTART_COUNT");
  expect_refused(with(kSlurmTask, {{"SLURM_PROCID", "2"}}), "SLURM_PROCID=2");
  expect_refused(with(kOpenMpi, {{"OMPI_COMM_WORLD_RANK", "2"}}), "OMPI_COMM_WORLD_RANK=2");
  expect_refused(with(kMpich, {{"PMI_RANK", "2"}}), "PMI_RANK=2");
}

}  // namespace
}  // namespace detente::launch
