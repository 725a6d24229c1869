// SPDX-License-Identifier: Apache-2.0
// detente doctor: what this machine, this process and its engine are, and what is wrong with them.
#include <detente/cli/command.h>
#include <detente/cli/doctor_launch.h>
#include <detente/cli/doctor_slides.h>
#include <detente/cli/doctor_worlds.h>
#include <detente/core/crash_point.h>
#include <detente/core/json_text.h>
#include <detente/core/version.h>
#include <detente/machine/findings.h>
#include <detente/machine/process.h>
#include <detente/simd/caches.h>
#include <detente/simd/target.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <ostream>
#include <string>
#include <vector>
#ifdef DETENTE_WITH_TORCH
#include <detente/doctor/engine.h>
#endif

namespace detente::cli {
namespace {

struct DoctorFlags {
  bool launch = false;
  bool metaworld = false;
  bool slides = false;
  std::string python;
  bool strict = false;
  bool json = false;
};

void doctor_line(std::ostream& out, const std::string& name, const std::string& value) {
  out << fmt::format("{:<12} {}\n", name, value);
}

std::string doctor_cpu(const machine::Cpu& cpu) {
  return fmt::format("{}, {} core{}, {}; load {:.2f}",
                     cpu.model,
                     cpu.cores,
                     cpu.cores == 1 ? "" : "s",
                     cpu.avx512 ? "AVX-512"
                     : cpu.avx2 ? "AVX2"
                                : "no AVX2",
                     cpu.load);
}

std::vector<std::string> doctor_targets() {
  std::vector<std::string> names;
  for (const simd::Target one : simd::available_targets()) names.emplace_back(simd::name_of(one));
  return names;
}

void doctor_simd_lines(std::ostream& out) {
  const simd::Caches& caches = simd::caches();
  doctor_line(out,
              "simd",
              fmt::format("{} in Detente's own loops; here are {} (DETENTE_SIMD)",
                          simd::name_of(simd::target()),
                          fmt::join(doctor_targets(), ", ")));
  doctor_line(out,
              "caches",
              fmt::format("{} KB, {} KB and {} KB for each core",
                          caches.l1d >> 10,
                          caches.l2 >> 10,
                          caches.l3 >> 10));
}

Json doctor_simd_json() {
  const simd::Caches& caches = simd::caches();
  return {{"target", simd::name_of(simd::target())},
          {"available", doctor_targets()},
          {"l1d_kb", caches.l1d >> 10},
          {"l2_kb", caches.l2 >> 10},
          {"l3_kb", caches.l3 >> 10}};
}

std::string doctor_blas(const machine::Facts& facts) {
  std::string text;
  if (facts.engine && !facts.engine->blas.empty()) text = facts.engine->blas + " inside the engine";
  if (facts.blas.kind == machine::Blas::kNone) return text.empty() ? "none loaded" : text;
  text += text.empty() ? "" : "; ";
  if (facts.blas.kind == machine::Blas::kOpenBlas) {
    return text + fmt::format("OpenBLAS, kernels for {}, {} threads ({})",
                              facts.blas.core,
                              machine::name_of(facts.blas.threads),
                              facts.blas.path);
  }
  return text + fmt::format("{} ({})", machine::name_of(facts.blas.kind), facts.blas.path);
}

void doctor_engine_lines(std::ostream& out, const machine::Engine& engine) {
  doctor_line(out, "engine", fmt::format("LibTorch {} in {}", engine.version, engine.folder));
  doctor_line(out, "", fmt::format("built with {}: {}", engine.built_version, engine.origin));
  doctor_line(out, "kernels", engine.cpu_capability);
}

void doctor_speed_lines(std::ostream& out, const machine::Facts& facts) {
  const machine::Engine& engine = *facts.engine;
  doctor_line(out,
              "speed",
              fmt::format("float32 matrix product: {:.1f} GFLOPS on 1 thread, {:.1f} on {}",
                          engine.gflops_one,
                          engine.gflops_all,
                          facts.cpu.cores));
  const machine::OpenMpWait wait = machine::openmp_wait(facts);
  const std::string policy = wait == machine::OpenMpWait::kSleep ? "sleep while they wait"
                             : wait == machine::OpenMpWait::kSpinBriefly
                                 ? "spin briefly, then sleep while they wait"
                                 : "spin while they wait";
  doctor_line(out,
              "threads",
              fmt::format("{} inside an operation, {} between; they {}",
                          engine.threads,
                          engine.interop_threads,
                          policy));
  doctor_line(out,
              "distributed",
              engine.distributed.empty() ? "no back end"
                                         : fmt::format("{}", fmt::join(engine.distributed, ", ")));
  doctor_line(out,
              "cuda",
              !engine.cuda_build         ? "not in this build"
              : engine.cuda_devices == 0 ? "in this build, no device"
                                         : fmt::format("{} devices", engine.cuda_devices));
}

void doctor_text(std::ostream& out,
                 const machine::Facts& facts,
                 const std::vector<machine::Finding>& findings) {
  doctor_line(out, "detente", DETENTE_VERSION);
  if (facts.engine) {
    doctor_engine_lines(out, *facts.engine);
  } else {
    doctor_line(out, "engine", "none: this program was built without LibTorch");
  }
  doctor_line(out, "blas", doctor_blas(facts));
  doctor_line(out, "cpu", doctor_cpu(facts.cpu));
  doctor_simd_lines(out);
  if (facts.engine) doctor_speed_lines(out, facts);
  const char* title = "libraries";
  for (const auto& path : facts.libraries) {
    doctor_line(out, title, path);
    title = "";
  }
  title = "environment";
  for (const auto& [name, value] : facts.environment) {
    doctor_line(out, title, name + "=" + value);
    title = "";
  }
  if (facts.applied.find('=') != std::string::npos) {
    doctor_line(out, "at start", "the program set for itself: " + facts.applied);
  }
  out << "\n";
  for (const auto& finding : findings) {
    out << machine::name_of(finding.severity) << ": " << finding.message << " [" << finding.name
        << "]\n";
    if (!finding.cure.empty()) out << "  cure: " << finding.cure << "\n";
  }
  if (findings.empty()) out << "Nothing to complain about.\n";
}

void doctor_run(const DoctorFlags& flags, Context& context) {
  if (flags.launch) {
    const bool fits = explain_launch(flags.json, context);
    if (flags.strict && !fits) context.exit_code = 1;
    return;
  }
  if (flags.metaworld) {
    const bool there = explain_metaworld(flags.python, flags.json, context);
    if (flags.strict && !there) context.exit_code = 1;
    return;
  }
  if (flags.slides) {
    const bool there = explain_slides(flags.json, context);
    if (flags.strict && !there) context.exit_code = 1;
    return;
  }
  machine::Facts facts = machine::look_at_process();
#ifdef DETENTE_WITH_TORCH
  facts.engine = doctor::look_at_engine(facts.libraries, facts.cpu.cores);
#endif
  const auto findings = machine::judge(facts);
  const auto warnings = std::count_if(findings.begin(), findings.end(), [](const auto& finding) {
    return finding.severity == machine::Severity::kWarning;
  });
  if (flags.json) {
    Json json = {{"detente", DETENTE_VERSION}};
    json.update(machine::to_json(facts));
    json["simd"] = doctor_simd_json();
    json["crash_points"] = kCrashPoints;
    json["findings"] = machine::to_json(findings);
    json["warnings"] = warnings;
    context.out << json_text(json) << "\n";
  } else {
    doctor_text(context.out, facts, findings);
  }
  if (flags.strict && warnings > 0) context.exit_code = 1;
}

}  // namespace

void add_doctor(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand(
      "doctor", "Say what engine and machine this is, what is slow, and the cure");
  const auto flags = std::make_shared<DoctorFlags>();
  CLI::Option* launch =
      command->add_flag("--launch",
                        flags->launch,
                        "Say which process of a run this one would be, and how to start several");
  CLI::Option* metaworld = command->add_flag(
      "--metaworld", flags->metaworld, "Say whether Meta-World can be used, and how to get it");
  metaworld->excludes(launch);
  CLI::Option* slides = command->add_flag(
      "--slides", flags->slides, "Say whether whole slides can be read, and what is missing");
  slides->excludes(launch)->excludes(metaworld);
  command
      ->add_option(
          "--python", flags->python, "Of --metaworld; default: $DETENTE_PYTHON, else python3")
      ->needs(metaworld);
  command->add_flag("--strict", flags->strict, "Exit with 1 when there is a warning");
  command->add_flag("--json", flags->json, "Print JSON");
  command->callback([flags, &context] { doctor_run(*flags, context); });
}

}  // namespace detente::cli
