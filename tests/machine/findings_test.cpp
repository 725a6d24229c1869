// SPDX-License-Identifier: Apache-2.0
#include <detente/machine/findings.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "example_facts.h"

namespace detente::machine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> names(const Facts& facts) {
  std::vector<std::string> result;
  for (const Finding& finding : judge(facts)) {
    result.push_back(finding.name + (finding.severity == Severity::kNote ? " (note)" : ""));
  }
  return result;
}

std::string cure_of(const Facts& facts, const std::string& name) {
  for (const Finding& finding : judge(facts)) {
    if (finding.name == name) return finding.cure;
  }
  return "(not found)";
}

TEST(Findings, HaveNothingToSayOfHealthyMachines) {
  EXPECT_THAT(names(healthy_wheel()), IsEmpty());
  EXPECT_THAT(names(healthy_system()), IsEmpty());
  EXPECT_THAT(names(Facts{}), IsEmpty());
}

TEST(Findings, NameTheReferenceBlasAndItsCure) {
  Facts facts = healthy_system();
  facts.blas = {.kind = Blas::kReference,
                .path = "/usr/lib/x86_64-linux-gnu/blas/libblas.so.3.11.0"};
  facts.engine->gflops_one = 4.8;
  facts.engine->gflops_all = 4.8;
  EXPECT_THAT(names(facts), ElementsAre("reference_blas"));
  EXPECT_THAT(cure_of(facts, "reference_blas"), HasSubstr("libopenblas0-openmp"));
}

TEST(Findings, LeaveTheReferenceBlasAloneWhenTheEngineHasMkl) {
  Facts facts = healthy_wheel();
  facts.blas.kind = Blas::kReference;
  EXPECT_THAT(names(facts), IsEmpty());
}

TEST(Findings, SeeARecentXeonTakenForAPrescott) {
  Facts facts = healthy_system();
  facts.blas.core = "Prescott";
  facts.engine->gflops_one = 17.0;
  EXPECT_THAT(names(facts), ElementsAre("openblas_core"));
  EXPECT_EQ(cure_of(facts, "openblas_core"), "export OPENBLAS_CORETYPE=SkylakeX");
  facts.cpu.avx512 = false;
  EXPECT_EQ(cure_of(facts, "openblas_core"), "export OPENBLAS_CORETYPE=Haswell");
}

TEST(Findings, AcceptAnOldCoreOnAnOldProcessor) {
  Facts facts = healthy_system();
  facts.blas.core = "Prescott";
  facts.cpu.avx2 = facts.cpu.avx512 = false;
  facts.engine->gflops_one = 17.0;
  facts.engine->gflops_all = 30.0;
  EXPECT_THAT(names(facts), IsEmpty());
}

TEST(Findings, SeeTwoPoolsThatSpinAgainstEachOther) {
  Facts facts = healthy_system();
  facts.blas.threads = BlasThreads::kPthread;
  EXPECT_THAT(names(facts), IsEmpty()) << "the pools sleep";
  facts.environment.clear();
  facts.engine->gflops_all = 40.0;
  EXPECT_THAT(names(facts), ElementsAre("openblas_pthread"));
  EXPECT_THAT(cure_of(facts, "openblas_pthread"), HasSubstr("OMP_WAIT_POLICY=passive"));
}

TEST(Findings, NoteThreadsThatSleepAtOnce) {
  Facts facts = healthy_wheel();
  facts.environment = {{"OMP_WAIT_POLICY", "passive"}};
  EXPECT_THAT(names(facts), ElementsAre("sleeping_threads (note)"));
  EXPECT_THAT(cure_of(facts, "sleeping_threads"), HasSubstr("GOMP_SPINCOUNT=3000"));
  facts.cpu.cores = 1;
  EXPECT_THAT(names(facts), IsEmpty());
}

TEST(Findings, SeeASpinningPool) {
  for (const char* policy : {"", "active"}) {
    Facts facts = healthy_wheel();
    facts.environment = {{"OMP_WAIT_POLICY", policy}};
    EXPECT_THAT(names(facts), ElementsAre("spinning_threads")) << policy;
    facts.cpu.cores = 1;
    EXPECT_THAT(names(facts), IsEmpty()) << "one core has nobody to wait for";
  }
}

TEST(Findings, SeeTwoEnginesInOneProcess) {
  Facts facts = healthy_wheel();
  facts.libraries.emplace_back("/usr/lib/x86_64-linux-gnu/libc10.so.2.9");
  EXPECT_THAT(names(facts), ElementsAre("two_engines"));
  EXPECT_THAT(judge(facts)[0].message,
              AllOf(HasSubstr("/venv/torch/lib"), HasSubstr("/usr/lib/x86_64-linux-gnu")));
}

TEST(Findings, SeeTwoOpenMpRuntimes) {
  Facts facts = healthy_wheel();
  facts.libraries.emplace_back("/opt/intel/libiomp5.so");
  EXPECT_THAT(names(facts), ElementsAre("two_openmp"));
}

TEST(Findings, SeeAnotherMinorVersionThanTheOneBuiltWith) {
  Facts facts = healthy_wheel();
  facts.engine->version = "2.13.1";
  EXPECT_THAT(names(facts), IsEmpty());
  facts.engine->version = "2.14.0";
  EXPECT_THAT(names(facts), ElementsAre("engine_version"));
}

TEST(Findings, WarnOfUnexplainedSlownessOnlyOnAQuietMachine) {
  Facts facts = healthy_wheel();
  facts.engine->gflops_one = 10.0;
  EXPECT_THAT(names(facts), ElementsAre("slow_gemm"));
  facts.cpu.load = 1.8;
  EXPECT_THAT(names(facts), ElementsAre("slow_gemm (note)", "busy_machine (note)"));
}

TEST(Findings, WarnOfThreadsThatHinderEachOtherOnlyOnAQuietMachine) {
  Facts facts = healthy_wheel();
  facts.engine->gflops_all = 60.0;
  EXPECT_THAT(names(facts), ElementsAre("threads_hinder"));
  facts.cpu.load = 1.8;
  EXPECT_THAT(names(facts), ElementsAre("busy_machine (note)"));
}

TEST(Findings, NoteCoresThatTheEngineLeavesIdle) {
  Facts facts = healthy_system();
  facts.engine->threads = 1;
  EXPECT_THAT(names(facts), ElementsAre("idle_cores (note)"));
  EXPECT_THAT(cure_of(facts, "idle_cores"), HasSubstr("threads: 2"));
  facts.environment["OMP_NUM_THREADS"] = "1";
  EXPECT_THAT(names(facts), IsEmpty()) << "the user's own choice";
}

TEST(Findings, NoteACudaBuildWithoutADevice) {
  Facts facts = healthy_wheel();
  facts.engine->cuda_build = true;
  EXPECT_THAT(names(facts), ElementsAre("no_cuda_device (note)"));
  facts.engine->cuda_devices = 1;
  EXPECT_THAT(names(facts), IsEmpty());
}

TEST(Findings, GiveEveryWarningACure) {
  Facts facts = healthy_system();
  facts.blas.core = "Prescott";
  facts.blas.threads = BlasThreads::kPthread;
  facts.environment.clear();
  facts.libraries.emplace_back("/venv/torch/lib/libc10.so");
  facts.libraries.emplace_back("/venv/torch/lib/libgomp.so.1");
  facts.engine->version = "1.12.0";
  const auto findings = judge(facts);
  EXPECT_EQ(findings.size(), 5U);
  for (const Finding& finding : findings) {
    EXPECT_EQ(finding.severity, Severity::kWarning) << finding.name;
    EXPECT_FALSE(finding.cure.empty()) << finding.name;
  }
  const Json json = to_json(findings);
  EXPECT_EQ(json[0]["name"], "two_engines");
  EXPECT_EQ(json[0]["severity"], "warning");
}

}  // namespace
}  // namespace detente::machine
