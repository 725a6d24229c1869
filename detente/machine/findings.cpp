// SPDX-License-Identifier: Apache-2.0
#include <detente/machine/findings.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <string_view>

namespace detente::machine {
namespace {

// A float32 product on one core: OpenBLAS and MKL reach 60-240 GFLOPS with AVX2 or AVX-512, a
// processor shared with others half of that; the reference BLAS 5, SSE kernels 16-33.
constexpr double kSlowGflops = 25.0;
// All threads together below this share of one thread: they hinder each other.
constexpr double kThreadsHinder = 0.8;

using Findings = std::vector<Finding>;

bool found(const Findings& findings, std::string_view name) {
  return std::any_of(findings.begin(), findings.end(), [&](const Finding& finding) {
    return finding.name == name;
  });
}

// Other programs want this machine's cores as well, so a measured speed says little.
bool is_busy(const Cpu& cpu) { return cpu.load > 0.5 * cpu.cores; }

std::string minor_of(const std::string& version) {
  return version.substr(0, version.find('.', version.find('.') + 1));
}

void judge_engine(const Facts& facts, Findings& findings) {
  std::set<std::string> folders;
  for (const auto& path : facts.libraries) {
    if (is_library(path, "libtorch") || is_library(path, "libtorch_cpu") ||
        is_library(path, "libc10")) {
      folders.insert(std::filesystem::path(path).parent_path().string());
    }
  }
  if (folders.size() > 1) {
    findings.push_back(
        {"two_engines",
         Severity::kWarning,
         fmt::format("two LibTorchs are in this process: {}", fmt::join(folders, ", ")),
         "Build in an empty folder with -DDETENTE_TORCH_ROOT= naming one of them, "
         "and keep the other out of LD_LIBRARY_PATH and LD_PRELOAD."});
  }
  if (!facts.engine) return;
  const Engine& engine = *facts.engine;
  if (!engine.version.empty() && minor_of(engine.version) != minor_of(engine.built_version)) {
    findings.push_back({"engine_version",
                        Severity::kWarning,
                        fmt::format("built with LibTorch {}, but {} is loaded from {}",
                                    engine.built_version,
                                    engine.version,
                                    engine.folder),
                        "Build again with the LibTorch that is there now."});
  }
  if (engine.cuda_build && engine.cuda_devices == 0) {
    findings.push_back({"no_cuda_device",
                        Severity::kNote,
                        "this LibTorch was built for CUDA, and no CUDA device is visible",
                        ""});
  }
}

void judge_blas(const Facts& facts, Findings& findings) {
  // An engine with MKL inside does not call the BLAS library it may have loaded for others.
  const bool engine_has_own = facts.engine && !facts.engine->blas.empty();
  if (facts.blas.kind == Blas::kReference && !engine_has_own) {
    findings.push_back({"reference_blas",
                        Severity::kWarning,
                        fmt::format("matrix products go through the reference BLAS ({}), about 18 "
                                    "times slower than OpenBLAS",
                                    facts.blas.path),
                        "apt-get install libopenblas0-openmp (nothing needs to be rebuilt)"});
  }
  if (const std::string core = openblas_core_cure(facts); !core.empty()) {
    findings.push_back(
        {"openblas_core",
         Severity::kWarning,
         fmt::format("OpenBLAS takes this processor ({}) for a \"{}\" and runs kernels "
                     "5 to 7 times slower than it could",
                     facts.cpu.model,
                     facts.blas.core),
         "export OPENBLAS_CORETYPE=" + core});
  }
}

void judge_threads(const Facts& facts, Findings& findings) {
  std::set<std::string> runtimes;
  for (const auto& path : facts.libraries) {
    if (is_library(path, "libgomp") || is_library(path, "libiomp5") || is_library(path, "libomp")) {
      runtimes.insert(path);
    }
  }
  if (runtimes.size() > 1) {
    findings.push_back({"two_openmp",
                        Severity::kWarning,
                        fmt::format("{} OpenMP runtimes are in this process, each with threads of "
                                    "its own: {}",
                                    runtimes.size(),
                                    fmt::join(runtimes, ", ")),
                        "Keep other OpenMP libraries out of LD_PRELOAD and LD_LIBRARY_PATH."});
  }
  const OpenMpWait wait = openmp_wait(facts);
  if (runtimes.empty() || facts.cpu.cores < 2 || wait == OpenMpWait::kSpinBriefly) return;
  static const std::string kWaitBriefly =
      fmt::format("export OMP_WAIT_POLICY=passive GOMP_SPINCOUNT={}", kShortSpin);
  if (wait == OpenMpWait::kSleep) {
    const bool gnu = std::any_of(runtimes.begin(), runtimes.end(), [](const std::string& path) {
      return is_library(path, "libgomp");
    });
    if (gnu) {
      findings.push_back(
          {"sleeping_threads",
           Severity::kNote,
           "OpenMP's threads sleep whenever they wait: on a quiet machine a training "
           "step on several threads takes up to twice as long",
           kWaitBriefly});
    }
    return;
  }
  if (facts.blas.kind == Blas::kOpenBlas && facts.blas.threads == BlasThreads::kPthread) {
    findings.push_back({"openblas_pthread",
                        Severity::kWarning,
                        "OpenBLAS has threads of its own beside OpenMP's, and both spin while the "
                        "other works: two threads are slower than one",
                        kWaitBriefly + ", or apt-get install libopenblas0-openmp"});
  } else {
    findings.push_back({"spinning_threads",
                        Severity::kWarning,
                        "OpenMP's threads spin while they wait: as soon as another program takes a "
                        "core, a training step takes up to ten times as long",
                        kWaitBriefly});
  }
}

void judge_speed(const Facts& facts, Findings& findings) {
  if (!facts.engine || facts.engine->gflops_one <= 0.0) return;
  const Engine& engine = *facts.engine;
  const bool busy = is_busy(facts.cpu);
  const bool explained = found(findings, "reference_blas") || found(findings, "openblas_core") ||
                         found(findings, "two_engines");
  if (facts.cpu.avx2 && engine.gflops_one < kSlowGflops && !explained) {
    findings.push_back({"slow_gemm",
                        busy ? Severity::kNote : Severity::kWarning,
                        fmt::format("a matrix product reaches {:.1f} GFLOPS on one thread; this "
                                    "processor should reach more than {:.0f}",
                                    engine.gflops_one,
                                    kSlowGflops),
                        busy ? "Measure again on a quiet machine."
                             : "Compare with another engine: docs/engines.md."});
  }
  const bool known = found(findings, "openblas_pthread") || found(findings, "spinning_threads");
  if (facts.cpu.cores > 1 && engine.gflops_all < kThreadsHinder * engine.gflops_one && !known &&
      !busy) {
    findings.push_back({"threads_hinder",
                        Severity::kWarning,
                        fmt::format("all {} cores together reach {:.1f} GFLOPS, one alone {:.1f}",
                                    facts.cpu.cores,
                                    engine.gflops_all,
                                    engine.gflops_one),
                        "Train with `threads: 1`, or look for other programs on the cores."});
  }
  if (engine.threads < facts.cpu.cores && facts.variable("OMP_NUM_THREADS").empty()) {
    findings.push_back(
        {"idle_cores",
         Severity::kNote,
         fmt::format("by itself the engine uses {} of {} cores", engine.threads, facts.cpu.cores),
         fmt::format("set `threads: {}` in the recipe", facts.cpu.cores)});
  }
  if (busy) {
    findings.push_back(
        {"busy_machine",
         Severity::kNote,
         fmt::format("the load average is {:.1f} on {} cores: speeds measured now are "
                     "too low",
                     facts.cpu.load,
                     facts.cpu.cores),
         ""});
  }
}

}  // namespace

const char* name_of(Severity severity) { return severity == Severity::kNote ? "note" : "warning"; }

std::string openblas_core_cure(const Facts& facts) {
  // OpenBLAS' names of x86 processors without AVX2 (cpuid_x86.c of OpenBLAS 0.3).
  static constexpr std::array<std::string_view, 21> kOld = {
      "Katmai", "Coppermine", "Northwood",   "Prescott",  "Banias",     "Atom",         "Core2",
      "Penryn", "Dunnington", "Nehalem",     "Athlon",    "Opteron",    "Opteron_SSE3", "Barcelona",
      "Bobcat", "Nano",       "Sandybridge", "Bulldozer", "Piledriver", "Steamroller",  "Generic"};
  if (facts.blas.kind != Blas::kOpenBlas || !facts.cpu.avx2) return {};
  if (std::find(kOld.begin(), kOld.end(), facts.blas.core) == kOld.end()) return {};
  return facts.cpu.avx512 ? "SkylakeX" : "Haswell";
}

std::vector<Finding> judge(const Facts& facts) {
  Findings findings;
  judge_engine(facts, findings);
  judge_blas(facts, findings);
  judge_threads(facts, findings);
  judge_speed(facts, findings);
  return findings;
}

Json to_json(const std::vector<Finding>& findings) {
  Json json = Json::array();
  for (const Finding& finding : findings) {
    json.push_back({{"name", finding.name},
                    {"severity", name_of(finding.severity)},
                    {"message", finding.message},
                    {"cure", finding.cure}});
  }
  return json;
}

}  // namespace detente::machine
