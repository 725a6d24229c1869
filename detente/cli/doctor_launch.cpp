// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/doctor_launch.h>
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <detente/launch/addresses.h>
#include <detente/launch/launch.h>
#include <detente/machine/process.h>
#include <detente/text/printable.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace detente::cli {
namespace {

struct LaunchFacts {
  launch::Launch launch;
  std::string problem;  // why the above says nothing, or does not lead to the others
  std::string host = launch::host_name();
  std::vector<launch::NetworkAddress> addresses = launch::network_addresses();
  std::vector<std::string> meeting;  // addresses of launch.address
};

LaunchFacts look_at_launch() {
  LaunchFacts facts;
  try {
    facts.launch = launch::read_launch();
  } catch (const Error& error) {
    facts.problem = error.what();
    return facts;
  }
  if (facts.launch.size == 1) return facts;
  std::string why;
  facts.meeting = launch::addresses_of(facts.launch.address, why);
  if (facts.meeting.empty()) {
    facts.problem = fmt::format(
        "[cli::doctor] the name '{}' of rank 0's machine stands for no address here: {}. Set "
        "MASTER_ADDR "
        "to its address, or add the name to /etc/hosts.",
        facts.launch.address,
        why);
  }
  return facts;
}

// The address of this machine that others most likely reach.
std::string first_address(const LaunchFacts& facts) {
  if (!facts.addresses.empty()) return facts.addresses.front().address;
  return facts.host.empty() ? "ADDRESS" : facts.host;
}

struct Way {
  const char* name;
  const char* title;
  std::vector<std::string> lines;
};

std::vector<Way> ways(const LaunchFacts& facts) {
  const int cores = machine::usable_cores();
  const int here = cores > 1 ? cores : 2;
  const std::string address = first_address(facts);
  const std::string endpoint =
      address.find(':') == std::string::npos ? address + ":29500" : "[" + address + "]:29500";
  return {{"local",
           "This machine, several processes",
           {fmt::format("detente train RECIPE --nproc {} --max-restarts 3", here)}},
          {"torchrun",
           "Two machines, torchrun (this one is the first; RUN is any word, the same on both)",
           {fmt::format("NODES=\"--nnodes 2 --nproc-per-node {}\"", here),
            fmt::format("MEET=\"--rdzv-backend c10d --rdzv-id RUN --rdzv-endpoint {}\"", endpoint),
            "torchrun $NODES $MEET --max-restarts 3 --no-python detente train RECIPE --out DIR"}},
          {"mpirun",
           "Two machines, Open MPI",
           {fmt::format("mpirun --host {}:{},OTHER:{} -x MASTER_ADDR={} -x OMP_NUM_THREADS=1 "
                        "detente train RECIPE --out DIR",
                        facts.host.empty() ? "FIRST" : facts.host,
                        here,
                        here,
                        address)}},
          {"slurm",
           "SLURM, two machines (sbatch job.sh)",
           {"#!/bin/sh",
            "#SBATCH --nodes=2",
            fmt::format("#SBATCH --ntasks-per-node={}", here),
            "#SBATCH --cpus-per-task=1",
            "#SBATCH --requeue",
            "#SBATCH --open-mode=append",
            "#SBATCH --signal=USR1@120",
            "export OMP_NUM_THREADS=$SLURM_CPUS_PER_TASK",
            "srun --kill-on-bad-exit=1 detente train RECIPE --out DIR"}}};
}

Json launch_json(const LaunchFacts& facts) {
  const launch::Launch& launch = facts.launch;
  Json addresses = Json::array();
  for (const auto& one : facts.addresses) {
    addresses.push_back({{"interface", one.interface}, {"address", one.address}});
  }
  Json commands = Json::object();
  for (const Way& way : ways(facts)) commands[way.name] = way.lines;
  return {{"by", launch.by},
          {"rank", launch.rank},
          {"size", launch.size},
          {"local_rank", launch.local_rank},
          {"local_size", launch.local_size},
          {"address", launch.address},
          {"resolved", facts.meeting},
          {"port", launch.port},
          {"store_is_there", launch.store_is_there},
          {"attempt", launch.attempt},
          {"job", launch.job},
          {"seen", launch.seen},
          {"problem", facts.problem},
          {"host", facts.host},
          {"addresses", addresses},
          {"commands", commands}};
}

void launch_line(std::ostream& out, std::string_view name, std::string_view value) {
  out << fmt::format("{:<12} {}\n", name, text::printable(value));
}

void launch_lines(std::ostream& out, const LaunchFacts& facts) {
  const launch::Launch& launch = facts.launch;
  if (launch.by.empty()) {
    launch_line(out, "launcher", "none: this process is alone");
  } else {
    launch_line(out, "launcher", launch.by);
    launch_line(out, "rank", fmt::format("{} of {}", launch.rank, launch.size));
    launch_line(out,
                "local rank",
                fmt::format("{} of {} on this machine", launch.local_rank, launch.local_size));
  }
  if (launch.size > 1) {
    launch_line(
        out,
        "meets at",
        fmt::format("{} ({}), port {}, store kept by {}",
                    launch.address,
                    facts.meeting.empty() ? "no address"
                                          : fmt::format("{}", fmt::join(facts.meeting, ", ")),
                    launch.port,
                    launch.store_is_there ? "the launcher" : "rank 0"));
  }
  if (!launch.job.empty()) launch_line(out, "job", launch.job);
  if (launch.attempt > 0) {
    launch_line(out, "attempt", fmt::format("started again {} times", launch.attempt));
  }
  std::string_view title = "variables";
  for (const std::string& one : launch.seen) {
    launch_line(out, title, one);
    title = "";
  }
}

}  // namespace

bool explain_launch(bool json, Context& context) {
  const LaunchFacts facts = look_at_launch();
  if (json) {
    context.out << json_text(launch_json(facts)) << "\n";
    return facts.problem.empty();
  }
  std::ostream& out = context.out;
  if (facts.problem.empty() || facts.launch.size > 1) launch_lines(out, facts);
  launch_line(out, "host", facts.host);
  std::string_view title = "addresses";
  for (const auto& one : facts.addresses) {
    launch_line(out, title, one.address + " (" + one.interface + ")");
    title = "";
  }
  if (!facts.problem.empty()) out << "\nproblem: " << text::printable_lines(facts.problem) << "\n";
  for (const Way& way : ways(facts)) {
    out << "\n" << way.title << ":\n";
    for (const std::string& line : way.lines) out << "  " << line << "\n";
  }
  out << "\nMachines with several networks: GLOO_SOCKET_IFNAME=INTERFACE says which one to use. "
         "All of it: "
         "docs/parallel.md\n";
  return facts.problem.empty();
}

}  // namespace detente::cli
