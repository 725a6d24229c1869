// SPDX-License-Identifier: Apache-2.0
#include <detente/machine/process.h>
#include <dlfcn.h>
#include <link.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <system_error>
#include <thread>

namespace detente::machine {
namespace {

constexpr std::array kLibraries = {
    "libtorch",  "libtorch_cpu", "libtorch_cuda", "libc10",       "libc10_cuda", "libblas",
    "liblapack", "libopenblas",  "libopenblasp",  "libopenblaso", "libmkl",      "libmkl_core",
    "libmkl_rt", "libblis",      "libatlas",      "libgomp",      "libiomp5",    "libomp",
    "libdnnl",   "libgloo",      "libnccl"};

constexpr std::array kVariables = {"OMP_NUM_THREADS",
                                   "OMP_WAIT_POLICY",
                                   "OMP_PROC_BIND",
                                   "GOMP_SPINCOUNT",
                                   "KMP_BLOCKTIME",
                                   "MKL_NUM_THREADS",
                                   "OPENBLAS_NUM_THREADS",
                                   "OPENBLAS_CORETYPE",
                                   "LD_PRELOAD",
                                   "LD_LIBRARY_PATH",
                                   "CUDA_VISIBLE_DEVICES",
                                   "ATEN_CPU_CAPABILITY",
                                   "MKL_ENABLE_INSTRUCTIONS",
                                   "DETENTE_SIMD",
                                   "DETENTE_L2_KB"};

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) {
      const auto at = line.find(": ");
      if (at != std::string::npos) return line.substr(at + 2);
    }
  }
  return "unknown";
}

Cpu look_at_cpu() {
  Cpu cpu;
  cpu.model = cpu_model();
  cpu.cores = usable_cores();
#if defined(__x86_64__)
  cpu.avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  cpu.avx512 = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
               __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
#endif
  double load = 0.0;
  if (getloadavg(&load, 1) == 1) cpu.load = load;
  return cpu;
}

int add_library(dl_phdr_info* info, std::size_t, void* data) {
  const std::string path = info->dlpi_name;
  if (std::any_of(kLibraries.begin(), kLibraries.end(), [&](const char* stem) {
        return is_library(path, stem);
      })) {
    std::error_code ignored;
    const auto real = std::filesystem::canonical(path, ignored);
    auto& libraries = *static_cast<std::vector<std::string>*>(data);
    libraries.push_back(ignored ? path : real.string());
  }
  return 0;
}

template <class Result>
Result ask(const char* function, Result otherwise) {
  void* address = dlsym(RTLD_DEFAULT, function);
  return address == nullptr ? otherwise : reinterpret_cast<Result (*)()>(address)();
}

BlasLibrary look_at_blas(const std::vector<std::string>& libraries) {
  BlasLibrary blas;
  for (const auto& path : libraries) {
    if (is_library(path, "libblas") && blas.path.empty()) blas.path = path;
  }
  for (const auto& path : libraries) {
    if (path.find("/libopenblas") != std::string::npos) blas.path = path;
  }
  if (const char* config = ask<const char*>("openblas_get_config", nullptr)) {
    blas.kind = Blas::kOpenBlas;
    blas.config = config;
    if (const char* core = ask<const char*>("openblas_get_corename", nullptr)) blas.core = core;
    switch (ask<int>("openblas_get_parallel", -1)) {
      case 0:
        blas.threads = BlasThreads::kSerial;
        break;
      case 1:
        blas.threads = BlasThreads::kPthread;
        break;
      case 2:
        blas.threads = BlasThreads::kOpenMp;
        break;
      default:
        break;
    }
  } else if (!blas.path.empty()) {
    // Debian keeps every implementation in a folder of its name; the reference one is in "blas".
    const auto folder = std::filesystem::path(blas.path).parent_path().filename();
    blas.kind = folder == "blas" ? Blas::kReference : Blas::kOther;
  }
  return blas;
}

}  // namespace

int usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

Facts look_at_process() {
  Facts facts;
  facts.cpu = look_at_cpu();
  dl_iterate_phdr(add_library, &facts.libraries);
  std::sort(facts.libraries.begin(), facts.libraries.end());
  facts.blas = look_at_blas(facts.libraries);
  for (const char* name : kVariables) {
    if (const char* value = std::getenv(name)) facts.environment[name] = value;
  }
  if (const char* applied = std::getenv("DETENTE_REEXEC")) facts.applied = applied;
  return facts;
}

double peak_memory_mib() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

}  // namespace detente::machine
