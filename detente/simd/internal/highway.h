// SPDX-License-Identifier: Apache-2.0
// The first include of every file with loops, before any of Highway's: which targets those are
// compiled for, and how the one in use is called.
#pragma once

#include <cstddef>

// All others: variants that would only add time to the build, or have vectors whose length is not
// known when it is compiled.
#define HWY_DISABLED_TARGETS \
  (~(HWY_SCALAR | HWY_EMU128 | HWY_SSE4 | HWY_AVX2 | HWY_AVX3 | HWY_NEON))

namespace detente::simd::internal {

// Where HWY_EXPORT's tables have the target in use; throws as simd::target().
std::size_t target_index();

}  // namespace detente::simd::internal

// The function of the target in use; after HWY_EXPORT(name). Highway's own dispatch would share its
// choice with other libraries of the process.
#define DETENTE_DISPATCH(name) \
  (*HWY_DISPATCH_TABLE(name)[::detente::simd::internal::target_index()])
