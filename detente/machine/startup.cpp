// SPDX-License-Identifier: Apache-2.0
#include <detente/machine/findings.h>
#include <detente/machine/process.h>
#include <detente/machine/startup.h>
#include <fcntl.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace detente::machine {
namespace {

constexpr const char* kGuard = "DETENTE_REEXEC";

using Variables = std::vector<std::pair<std::string, std::string>>;

// The present environment with `changes` in place of what they name.
std::vector<std::string> changed_environment(const Variables& changes) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    const bool replaced = std::any_of(
        changes.begin(), changes.end(), [&](const auto& change) { return change.first == name; });
    if (!replaced) result.emplace_back(text);
  }
  for (const auto& [name, value] : changes) result.push_back(name + "=" + value);
  return result;
}

}  // namespace

Variables startup_cures(const Facts& facts) {
  Variables cures;
  if (const std::string core = openblas_core_cure(facts);
      !core.empty() && facts.variable("OPENBLAS_CORETYPE").empty()) {
    cures.emplace_back("OPENBLAS_CORETYPE", core);
  }
  const bool chosen = !facts.variable("OMP_WAIT_POLICY").empty() ||
                      !facts.variable("GOMP_SPINCOUNT").empty() ||
                      !facts.variable("KMP_BLOCKTIME").empty();
  if (has_openmp(facts) && facts.cpu.cores > 1 && !chosen) {
    cures.emplace_back("OMP_WAIT_POLICY", "passive");
    cures.emplace_back("GOMP_SPINCOUNT", std::to_string(kShortSpin));
  }
  return cures;
}

bool computes(std::span<const std::string> args) {
  static constexpr std::array<std::string_view, 6> kLight = {
      "help", "inspect", "methods", "recipe", "solve", "toy"};
  static constexpr std::array<std::string_view, 4> kAnswers = {
      "--help", "-h", "--help-all", "--version"};
  if (args.empty() || std::find(kLight.begin(), kLight.end(), args.front()) != kLight.end()) {
    return false;
  }
  if (args.size() > 1 && args[0] == "bench" && args[1] == "solve") return false;
  return std::none_of(args.begin(), args.end(), [](const std::string& arg) {
    return std::find(kAnswers.begin(), kAnswers.end(), arg) != kAnswers.end();
  });
}

void occupy_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) != -1) continue;
    // The lowest number that is free is this one. Open the wrong way round, it refuses.
    if (open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) == -1) return;
  }
}

void keep_freed_memory() {
#ifdef __GLIBC__
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (text.starts_with("MALLOC_") || text.find("glibc.malloc") != std::string_view::npos) return;
  }
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

void cure_and_restart(int argc, char** argv) {
  if (std::getenv(kGuard) != nullptr || argc < 1) return;
  if (!computes(std::vector<std::string>(argv + 1, argv + argc))) return;
  Variables changes = startup_cures(look_at_process());
  if (changes.empty()) return;

  std::string summary;
  for (const auto& [name, value] : changes) {
    summary += (summary.empty() ? "" : " ") + name + "=" + value;
  }
  if (isatty(STDERR_FILENO) != 0 || std::getenv("DETENTE_VERBOSE") != nullptr) {
    std::fprintf(stderr, "detente: runs with %s (why: detente doctor)\n", summary.c_str());
  }
  changes.emplace_back(kGuard, summary);

  std::error_code error;
  // Not "/proc/self/exe" itself: the process would be listed under the name "exe".
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", error).string();
  if (error) return;
  std::vector<std::string> environment = changed_environment(changes);
  std::vector<char*> pointers;
  for (auto& entry : environment) pointers.push_back(entry.data());
  pointers.push_back(nullptr);
  execve(program.c_str(), argv, pointers.data());
  // It failed (no memory, a program that was replaced meanwhile): slower is better than not at all.
}

}  // namespace detente::machine
