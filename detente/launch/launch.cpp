// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/fnv.h>
#include <detente/core/whole_number.h>
#include <detente/launch/host_list.h>
#include <detente/launch/launch.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace detente::launch {
namespace {

constexpr const char* kLoopback = "127.0.0.1";
constexpr int kUsualPort = 29500;  // torchrun's own
// Ports that are derived from a job's number: below those that Linux gives to outgoing connections.
constexpr int kFirstPort = 20000;
constexpr int kPorts = 12000;
constexpr const char* kAloneCure =
    "A process that is meant to be alone is told so by DETENTE_LAUNCHER=none.";

// The variables of one launcher; what decides is remembered.
class Variables {
 public:
  Variables(const Environment& environment, Launch& launch)
      : environment_(environment), launch_(launch) {}

  // Empty where it is not set.
  std::string text(const std::string& name) const { return environment_(name).value_or(""); }
  bool has(const std::string& name) const { return !text(name).empty(); }

  std::string noted(const std::string& name) {
    const std::string value = text(name);
    if (!value.empty()) launch_.seen.push_back(name + "=" + value);
    return value;
  }

  std::optional<int> number(const std::string& name) const { return whole_number<int>(text(name)); }

  int demanded(const std::string& name, int least) {
    const std::string value = noted(name);
    DETENTE_CHECK(
        !value.empty(),
        ErrorCode::kInvalidArgument,
        "[launch::read_launch] {} is not set, though the other variables of a start by {} "
        "are. Set it for every process, or start them with one of the commands of `detente "
        "doctor --launch`. {}",
        name,
        launch_.by,
        kAloneCure);
    const std::optional<int> parsed = whole_number<int>(value);
    DETENTE_CHECK(
        parsed && *parsed >= least,
        ErrorCode::kInvalidArgument,
        "[launch::read_launch] {} is '{}'; expected a whole number >= {}, as {} sets it. {}",
        name,
        value,
        least,
        launch_.by,
        kAloneCure);
    return *parsed;
  }

  int number_or(const std::string& name, int least, int otherwise) {
    return has(name) ? demanded(name, least) : otherwise;
  }

 private:
  const Environment& environment_;
  Launch& launch_;
};

// The names that a launcher has for the same four numbers.
struct VariableNames {
  std::string rank;
  std::string size;
  std::string local_rank;
  std::string local_size;
};

void check_fit(const Launch& launch, const VariableNames& names) {
  const auto below = [&](const std::string& what, int number, const std::string& of, int limit) {
    DETENTE_CHECK(
        number < limit,
        ErrorCode::kInvalidArgument,
        "[launch::read_launch] {}={} does not fit {}={}; ranks run from 0 to {}. Give every "
        "process a rank of its own and all the same {}. {}",
        what,
        number,
        of,
        limit,
        limit - 1,
        of,
        kAloneCure);
  };
  below(names.rank, launch.rank, names.size, launch.size);
  below(names.local_rank, launch.local_rank, names.local_size, launch.local_size);
  DETENTE_CHECK(launch.local_size <= launch.size,
                ErrorCode::kInvalidArgument,
                "[launch::read_launch] {}={} is more than {}={}; expected the processes of this "
                "machine, among those of all. {}",
                names.local_size,
                launch.local_size,
                names.size,
                launch.size,
                kAloneCure);
}

// As MASTER_ADDR has it: a name or an address, IPv6 with or without brackets.
std::string plain_address(const std::string& value) {
  std::string address = value;
  if (address.size() > 2 && address.front() == '[' && address.back() == ']') {
    address = address.substr(1, address.size() - 2);
  }
  const auto colons = std::count(address.begin(), address.end(), ':');
  const bool odd = std::any_of(address.begin(), address.end(), [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == '/' || c == '[' || c == ']';
  });
  DETENTE_CHECK(
      colons != 1 && !odd && !address.empty(),
      ErrorCode::kInvalidArgument,
      "[launch::read_launch] MASTER_ADDR is '{}'; expected the name or address of rank 0's "
      "machine alone, e.g. node01 or 10.0.0.1. The port belongs into MASTER_PORT.",
      value);
  return address;
}

void demand_meeting_point(Launch& launch, Variables& variables) {
  const std::string address = variables.noted("MASTER_ADDR");
  DETENTE_CHECK(
      !address.empty(),
      ErrorCode::kInvalidArgument,
      "[launch::read_launch] MASTER_ADDR is not set, so rank {} of {} does not know where "
      "to find the others. Set it to the name or address of rank 0's machine, the same for "
      "all (127.0.0.1 where all run on one). {}",
      launch.rank,
      launch.size,
      kAloneCure);
  launch.address = plain_address(address);
  launch.port = variables.demanded("MASTER_PORT", 1);
}

// A port that all processes of a job arrive at, and another job most likely not.
int derived_port(std::string_view job) {
  return kFirstPort + static_cast<int>(fnv1a(job) % kPorts);
}

// Of launchers that name no place to meet. Where all are on one machine that is the loopback interface.
void find_meeting_point(Launch& launch, Variables& variables, int port, const std::string& cure) {
  const std::string address = variables.noted("MASTER_ADDR");
  if (!address.empty()) {
    launch.address = plain_address(address);
  } else {
    DETENTE_CHECK(
        launch.local_size == launch.size,
        ErrorCode::kInvalidArgument,
        "[launch::read_launch] {} started {} processes, {} of them on this machine, and says "
        "not where rank 0 is; expected MASTER_ADDR, the name or address of its machine. {}",
        launch.by,
        launch.size,
        launch.local_size,
        cure);
    launch.address = kLoopback;
  }
  launch.port = variables.number_or("MASTER_PORT", 1, port);
}

int requeued(const Variables& variables) {
  if (!variables.has("SLURM_JOB_ID")) return 0;
  return std::max(0, variables.number("SLURM_RESTART_COUNT").value_or(0));
}

// Nothing of what a lone process does not need is looked at. `attempts` may be no number.
Launch one_process(Launch launch, std::optional<int> attempts) {
  Launch alone;
  alone.by = launch.by;
  alone.job = launch.job;
  alone.seen = launch.seen;
  alone.attempt = std::max(0, attempts.value_or(0));
  return alone;
}

// RANK and so on, as torchrun sets them and `--nproc` does.
void read_plain(Launch& launch, Variables& variables) {
  const VariableNames names{"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"};
  launch.rank = variables.demanded(names.rank, 0);
  launch.local_rank = variables.demanded(names.local_rank, 0);
  launch.local_size = variables.demanded(names.local_size, 1);
  check_fit(launch, names);
  demand_meeting_point(launch, variables);
}

std::optional<Launch> read_own(const Environment& environment) {
  Launch launch;
  Variables variables(environment, launch);
  const std::string by = variables.noted("DETENTE_LAUNCHER");
  if (by == "none") return launch;
  if (by.empty()) return std::nullopt;
  DETENTE_CHECK(by == "detente",
                ErrorCode::kInvalidArgument,
                "[launch::read_launch] DETENTE_LAUNCHER is '{}'; expected 'none' (this process is "
                "alone) or nothing ('detente' is what `detente train --nproc` sets).",
                by);
  launch.by = by;
  launch.job = variables.text("DETENTE_JOB");
  launch.size = variables.demanded("WORLD_SIZE", 1);
  if (launch.size == 1) return one_process(launch, variables.number("DETENTE_ATTEMPT"));
  read_plain(launch, variables);
  launch.attempt = variables.number_or("DETENTE_ATTEMPT", 0, 0);
  return launch;
}

std::optional<Launch> read_torchrun(const Environment& environment) {
  Launch launch;
  Variables variables(environment, launch);
  if (!variables.has("TORCHELASTIC_RUN_ID")) return std::nullopt;
  launch.by = "torchrun";
  launch.job = variables.noted("TORCHELASTIC_RUN_ID");
  if (launch.job == "none") launch.job.clear();  // what it says where no --rdzv-id was given
  launch.size = variables.demanded("WORLD_SIZE", 1);
  const int before = requeued(variables);
  if (launch.size == 1) {
    return one_process(launch, before + variables.number("TORCHELASTIC_RESTART_COUNT").value_or(0));
  }
  read_plain(launch, variables);
  launch.store_is_there = variables.noted("TORCHELASTIC_USE_AGENT_STORE") == "True";
  launch.attempt = before + variables.number_or("TORCHELASTIC_RESTART_COUNT", 0, 0);
  return launch;
}

std::optional<Launch> read_open_mpi(const Environment& environment) {
  Launch launch;
  Variables variables(environment, launch);
  const VariableNames names{"OMPI_COMM_WORLD_RANK",
                            "OMPI_COMM_WORLD_SIZE",
                            "OMPI_COMM_WORLD_LOCAL_RANK",
                            "OMPI_COMM_WORLD_LOCAL_SIZE"};
  if (!variables.has(names.size)) return std::nullopt;
  launch.by = "Open MPI";
  launch.size = variables.demanded(names.size, 1);
  if (launch.size == 1) return one_process(launch, requeued(variables));
  launch.rank = variables.demanded(names.rank, 0);
  launch.local_rank = variables.demanded(names.local_rank, 0);
  launch.local_size = variables.demanded(names.local_size, 1);
  check_fit(launch, names);
  // The same number under the names of versions 4 and 5, 3, and 2.
  for (const char* name :
       {"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid", "OMPI_MCA_orte_ess_jobid"}) {
    if (launch.job.empty()) launch.job = variables.noted(name);
  }
  find_meeting_point(launch,
                     variables,
                     launch.job.empty() ? kUsualPort : derived_port(launch.job),
                     "Start with: mpirun -x MASTER_ADDR=HOST_OF_RANK_0 ...");
  launch.attempt = requeued(variables);
  return launch;
}

// Whether these are the tasks of one `srun`. The script of sbatch and the shell of salloc hold the number of
// tasks of their allocation, too, but are one process; so is a step with a reserved number (0xfffffff0 and
// above: salloc's own shell).
bool in_slurm_step(const Variables& variables) {
  const auto step = whole_number<std::uint32_t>(variables.text("SLURM_STEP_ID"));
  return step && *step < 0xfffffff0U && variables.has("SLURM_PROCID");
}

std::string slurm_size(const Variables& variables) {
  return variables.has("SLURM_STEP_NUM_TASKS") ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS";
}

std::optional<Launch> read_mpich(const Environment& environment) {
  Launch launch;
  Variables variables(environment, launch);
  const VariableNames names{"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"};
  if (!variables.has(names.size) || !variables.has(names.rank)) return std::nullopt;
  // srun speaks the same language (--mpi=pmi2) and says more in its own.
  if (in_slurm_step(variables) &&
      variables.number(names.size) == variables.number(slurm_size(variables)) &&
      variables.number(names.rank) == variables.number("SLURM_PROCID")) {
    return std::nullopt;
  }
  launch.by = "MPICH";
  launch.size = variables.demanded(names.size, 1);
  if (launch.size == 1) return one_process(launch, requeued(variables));
  launch.rank = variables.demanded(names.rank, 0);
  launch.local_rank = variables.number_or(names.local_rank, 0, 0);
  launch.local_size = variables.number_or(names.local_size, 1, launch.local_rank + 1);
  check_fit(launch, names);
  find_meeting_point(
      launch, variables, kUsualPort, "Start with: mpirun -genv MASTER_ADDR HOST_OF_RANK_0 ...");
  launch.attempt = requeued(variables);
  return launch;
}

int slurm_local_size(const Launch& launch, Variables& variables, int nodes) {
  if (nodes == 1) return launch.size;
  if (variables.has("SLURM_STEP_TASKS_PER_NODE")) {
    const auto counts = expand_counts(variables.noted("SLURM_STEP_TASKS_PER_NODE"));
    const int node = variables.number_or("SLURM_NODEID", 0, 0);
    if (node < static_cast<int>(counts.size())) return counts[static_cast<std::size_t>(node)];
  }
  return launch.local_rank + 1;
}

std::string first_slurm_host(Variables& variables) {
  const char* name =
      variables.has("SLURM_STEP_NODELIST") ? "SLURM_STEP_NODELIST" : "SLURM_JOB_NODELIST";
  const std::string list = variables.noted(name);
  DETENTE_CHECK(
      !list.empty(),
      ErrorCode::kInvalidArgument,
      "[launch::read_launch] SLURM_STEP_NODELIST is not set, though this is a task of srun "
      "on several machines. Set MASTER_ADDR to the name of the first, the same for all. {}",
      kAloneCure);
  try {
    return expand_host_list(list).front();
  } catch (const Error& error) {
    fail(ErrorCode::kInvalidArgument,
         "{} It stands in {}. Set MASTER_ADDR to the name of the first machine instead.",
         error.what(),
         name);
  }
}

std::optional<Launch> read_slurm(const Environment& environment) {
  Launch launch;
  Variables variables(environment, launch);
  if (!in_slurm_step(variables)) return std::nullopt;
  const VariableNames names{
      "SLURM_PROCID", slurm_size(variables), "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE"};
  if (!variables.has(names.size)) return std::nullopt;
  launch.by = "SLURM";
  launch.size = variables.demanded(names.size, 1);
  const auto job = whole_number<std::uint32_t>(variables.noted("SLURM_JOB_ID"));
  const auto step = whole_number<std::uint32_t>(variables.noted("SLURM_STEP_ID"));
  launch.job = variables.text("SLURM_JOB_ID") + "." + variables.text("SLURM_STEP_ID");
  if (launch.size == 1) return one_process(launch, requeued(variables));
  launch.rank = variables.demanded(names.rank, 0);
  launch.local_rank = variables.number_or(names.local_rank, 0, 0);
  const int nodes = variables.number_or("SLURM_STEP_NUM_NODES", 1, 0);
  launch.local_size = slurm_local_size(launch, variables, nodes);
  check_fit(launch, names);
  launch.address = variables.has("MASTER_ADDR") ? plain_address(variables.noted("MASTER_ADDR"))
                   : nodes == 1                 ? kLoopback
                                                : first_slurm_host(variables);
  // Steps of one job may run at once, and the jobs of a cluster are numbered one after another.
  const std::uint64_t number = job.value_or(0) + std::uint64_t{997} * step.value_or(0);
  launch.port =
      variables.number_or("MASTER_PORT", 1, kFirstPort + static_cast<int>(number % kPorts));
  launch.attempt = requeued(variables);
  return launch;
}

// RANK and WORLD_SIZE, set by hand or by a cluster's own system. A variable called RANK may be about
// something else: alone it counts only where it says that this is not the first process, which must not
// train as if it were the only one.
std::optional<Launch> read_environment(const Environment& environment) {
  Launch launch;
  Variables variables(environment, launch);
  launch.by = "environment";
  const bool rank = variables.has("RANK");
  const bool size = variables.has("WORLD_SIZE");
  const bool others = variables.has("MASTER_ADDR") && variables.has("MASTER_PORT");
  if (!size && !(rank && (others || variables.number("RANK").value_or(0) > 0))) return std::nullopt;
  if (variables.number("WORLD_SIZE") == 1) {
    variables.noted("WORLD_SIZE");
    return one_process(launch, requeued(variables));
  }
  const VariableNames names{"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"};
  launch.size = variables.demanded(names.size, 1);
  launch.rank = variables.demanded(names.rank, 0);
  demand_meeting_point(launch, variables);
  // Whoever starts one process on each machine by hand need not say that it is its machine's first.
  const bool here =
      launch.address == kLoopback || launch.address == "localhost" || launch.address == "::1";
  launch.local_rank = variables.number_or(names.local_rank, 0, here ? launch.rank : 0);
  launch.local_size =
      variables.number_or(names.local_size, 1, here ? launch.size : launch.local_rank + 1);
  check_fit(launch, names);
  launch.attempt = requeued(variables);
  return launch;
}

}  // namespace

std::optional<std::string> environment_of_process(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

Launch read_launch(const Environment& environment) {
  for (const auto& read :
       {read_own, read_torchrun, read_open_mpi, read_mpich, read_slurm, read_environment}) {
    std::optional<Launch> launch = read(environment);
    if (!launch) continue;
    DETENTE_CHECK(launch->port <= 65535,
                  ErrorCode::kInvalidArgument,
                  "[launch::read_launch] MASTER_PORT is {}; expected a port, 1 to 65535, e.g. {}.",
                  launch->port,
                  kUsualPort);
    return *launch;
  }
  Launch alone;
  Variables variables(environment, alone);
  alone.attempt = requeued(variables);
  if (alone.attempt > 0) variables.noted("SLURM_RESTART_COUNT");
  return alone;
}

}  // namespace detente::launch
