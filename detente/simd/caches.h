// SPDX-License-Identifier: Apache-2.0
// The caches of one core, which decide how much of something is taken at once.
#pragma once

#include <cstdint>
#include <filesystem>

namespace detente::simd {

// Bytes, all above zero.
struct Caches {
  std::int64_t l1d = 32 << 10;
  std::int64_t l2 = 512 << 10;
  std::int64_t l3 = 2 << 20;  // this core's share of what several have together
};

// Of the first processor; asked for once. DETENTE_L2_KB replaces the size of the second cache, for
// trying how another processor would fare; throws kInvalidArgument when that is no number from 16
// to 1048576.
const Caches& caches();

// What `folder` says, laid out as /sys/devices/system/cpu/cpu0/cache; a size that is not there or
// makes no sense is what the C library knows, or the value above.
Caches read_caches(const std::filesystem::path& folder);

// `l2_kb`: the value of DETENTE_L2_KB, or null.
Caches with_override(Caches found, const char* l2_kb);

}  // namespace detente::simd
