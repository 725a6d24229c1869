// SPDX-License-Identifier: Apache-2.0
// What is known about the machine, this process and its engine: plain values, gathered by
// machine/process.h (no LibTorch) and doctor/engine.h (with it), judged by machine/findings.h.
#pragma once

#include <detente/core/json.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace detente::machine {

struct Cpu {
  std::string model;    // as the kernel names it
  int cores = 1;        // that this process may use
  bool avx2 = false;    // with FMA
  bool avx512 = false;  // F, BW, DQ and VL, what OpenBLAS' SkylakeX kernels need
  double load = 0.0;    // load average over the last minute; this process takes part in it
};

enum class Blas {
  kNone,       // no BLAS library is loaded (the engine may carry MKL inside)
  kReference,  // the Fortran reference, one multiplication at a time
  kOpenBlas,
  kOther,
};
const char* name_of(Blas blas);  // "none", "reference", "openblas", "other"

enum class BlasThreads { kUnknown, kSerial, kPthread, kOpenMp };
const char* name_of(BlasThreads threads);  // "unknown", "serial", "pthread", "openmp"

struct BlasLibrary {
  Blas kind = Blas::kNone;
  std::string path;
  std::string config;  // OpenBLAS' own words: version and build options
  std::string core;    // the processor whose kernels OpenBLAS runs: "SkylakeX", "Prescott"
  BlasThreads threads = BlasThreads::kUnknown;
};

struct Engine {
  std::string version;        // of the LibTorch that is loaded: "2.13.0"
  std::string folder;         // the loaded library lies here
  std::string built_version;  // of the one this program was built with
  std::string built_folder;
  std::string origin;  // who chose it when the build was configured
  std::string blas;    // inside the engine: "Intel(R) oneAPI Math Kernel Library ...", or ""
  std::string cpu_capability;  // kernels the engine chose: "AVX512"
  int threads = 1;             // inside one operation, by default
  int interop_threads = 1;
  double gflops_one = 0.0;               // float32 matrix product on one thread
  double gflops_all = 0.0;               // on all cores
  std::vector<std::string> distributed;  // back ends of c10d: "gloo", "nccl", "mpi"
  bool cuda_build = false;
  int cuda_devices = 0;
};

struct Facts {
  Cpu cpu;
  std::vector<std::string>
      libraries;  // engine, BLAS and thread libraries in this process, real paths
  BlasLibrary blas;
  std::map<std::string, std::string> environment;  // the variables that matter here, where set
  std::string applied;           // what the program set for itself at its start (machine/startup.h)
  std::optional<Engine> engine;  // empty in a program without LibTorch

  // The value of a variable, "" when it is not set.
  std::string variable(const std::string& name) const;
};

// A library's file name begins with `stem` ("libgomp" matches libgomp.so.1 and libgomp-a34b.so.1).
bool is_library(const std::string& path, const std::string& stem);
// An OpenMP runtime (GNU, Intel, LLVM) is loaded.
bool has_openmp(const Facts& facts);
// How its threads wait at barriers, as variables say.
enum class OpenMpWait {
  kSpin,         // for milliseconds, or until the others come
  kSpinBriefly,  // GOMP_SPINCOUNT of at most ten times kShortSpin
  kSleep,        // at once
};
OpenMpWait openmp_wait(const Facts& facts);
// Tenths of a millisecond on current processors: longer than the others usually take to come, too
// short to matter to another program on the same core.
inline constexpr int kShortSpin = 3000;

Json to_json(const Facts& facts);

}  // namespace detente::machine
