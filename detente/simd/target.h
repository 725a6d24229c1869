// SPDX-License-Identifier: Apache-2.0
// The instruction sets for which the loops of this module are compiled, and the one in use.
//
// Every loop is written once (Google Highway) and compiled for each target of the processor's
// family; the best one that this processor has runs. DETENTE_SIMD=sse4|avx2|avx512|neon|scalar
// forces one. Sums of several numbers are made in another order on another target, so their last
// bits differ; what each header promises holds on all.
#pragma once

#include <string>
#include <vector>

namespace detente::simd {

enum class Target {
  kScalar,  // one number at a time, for processors with nothing better
  kSse4,    // 16 bytes, 16 registers
  kAvx2,    // 32 bytes, 16 registers, fused multiply-adds
  kAvx512,  // 64 bytes, 32 registers; F, BW, DQ and VL
  kNeon,    // 16 bytes, 32 registers
};
const char* name_of(Target target);  // "scalar", "sse4", "avx2", "avx512", "neon"

// Those that are compiled in and that this processor has, the best first; never empty.
const std::vector<Target>& available_targets();

// The one whose loops run: what DETENTE_SIMD named when this or any loop was first called, else the
// best. Throws kInvalidArgument when DETENTE_SIMD names none or kUnsupported when it names one that
// is not available.
Target target();

// What `target()` starts with for a value of DETENTE_SIMD ("": the best).
Target target_named(const std::string& name);

// Another target for as long as this lives, in all threads: for tests and benchmarks. Throws
// kUnsupported when it is not available. No loop may be running when it comes or goes.
class UseTarget {
 public:
  explicit UseTarget(Target target);
  ~UseTarget();
  UseTarget(const UseTarget&) = delete;
  UseTarget& operator=(const UseTarget&) = delete;

 private:
  Target before_;
};

}  // namespace detente::simd
