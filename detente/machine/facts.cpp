// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/whole_number.h>
#include <detente/machine/facts.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>

namespace detente::machine {

const char* name_of(Blas blas) {
  switch (blas) {
    case Blas::kNone:
      return "none";
    case Blas::kReference:
      return "reference";
    case Blas::kOpenBlas:
      return "openblas";
    case Blas::kOther:
      return "other";
  }
  return "";
}

const char* name_of(BlasThreads threads) {
  switch (threads) {
    case BlasThreads::kUnknown:
      return "unknown";
    case BlasThreads::kSerial:
      return "serial";
    case BlasThreads::kPthread:
      return "pthread";
    case BlasThreads::kOpenMp:
      return "openmp";
  }
  return "";
}

std::string Facts::variable(const std::string& name) const {
  const auto at = environment.find(name);
  return at == environment.end() ? std::string() : at->second;
}

bool is_library(const std::string& path, const std::string& stem) {
  const std::string name = std::filesystem::path(path).filename().string();
  if (!name.starts_with(stem) || name.size() == stem.size()) return false;
  const char next = name[stem.size()];
  return next == '.' || next == '-' || next == '_';
}

bool has_openmp(const Facts& facts) {
  return std::any_of(facts.libraries.begin(), facts.libraries.end(), [](const std::string& path) {
    return is_library(path, "libgomp") || is_library(path, "libiomp5") ||
           is_library(path, "libomp");
  });
}

OpenMpWait openmp_wait(const Facts& facts) {
  // GNU's runtime looks at this one first.
  if (const auto spins = whole_number<std::int64_t>(facts.variable("GOMP_SPINCOUNT"))) {
    return *spins == 0                 ? OpenMpWait::kSleep
           : *spins <= 10 * kShortSpin ? OpenMpWait::kSpinBriefly
                                       : OpenMpWait::kSpin;
  }
  const std::string policy = lower_ascii(facts.variable("OMP_WAIT_POLICY"));
  return policy == "passive" || facts.variable("KMP_BLOCKTIME") == "0" ? OpenMpWait::kSleep
                                                                       : OpenMpWait::kSpin;
}

Json to_json(const Facts& facts) {
  Json json;
  json["cpu"] = {{"model", facts.cpu.model},
                 {"cores", facts.cpu.cores},
                 {"avx2", facts.cpu.avx2},
                 {"avx512", facts.cpu.avx512},
                 {"load", json_number(facts.cpu.load)}};
  if (facts.engine) {
    const Engine& engine = *facts.engine;
    json["engine"] = {{"version", engine.version},
                      {"folder", engine.folder},
                      {"built_version", engine.built_version},
                      {"built_folder", engine.built_folder},
                      {"origin", engine.origin},
                      {"blas", engine.blas},
                      {"cpu_capability", engine.cpu_capability},
                      {"threads", engine.threads},
                      {"interop_threads", engine.interop_threads},
                      {"gflops_one_thread", json_number(engine.gflops_one)},
                      {"gflops_all_threads", json_number(engine.gflops_all)},
                      {"distributed", engine.distributed},
                      {"cuda_build", engine.cuda_build},
                      {"cuda_devices", engine.cuda_devices}};
  } else {
    json["engine"] = nullptr;
  }
  json["blas"] = {{"kind", name_of(facts.blas.kind)},
                  {"path", facts.blas.path},
                  {"config", facts.blas.config},
                  {"core", facts.blas.core},
                  {"threads", name_of(facts.blas.threads)}};
  json["libraries"] = facts.libraries;
  json["environment"] = facts.environment;
  json["applied_at_start"] = facts.applied;
  return json;
}

}  // namespace detente::machine
