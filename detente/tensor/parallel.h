// SPDX-License-Identifier: Apache-2.0
// Loops of our own on LibTorch's threads. Use this instead of at::parallel_for, which is compiled
// into the file that calls it and quietly runs on one thread there unless that file is compiled
// with OpenMP; one file is.
#pragma once

#include <cstdint>
#include <functional>

namespace detente::tensor {

// Calls `part` for consecutive parts [first, last) of [begin, end) of at least `grain` (>= 1)
// numbers each, at most one part per thread of LibTorch (at::get_num_threads()); inside another
// parallel loop, one part. Inside, LibTorch's operations keep to one thread, and neither gradient
// mode nor other thread-local settings are those of the caller, except that its profiler (or
// AllocationPeak) sees all threads. The first exception is passed on.
void parallel_for(std::int64_t begin,
                  std::int64_t end,
                  std::int64_t grain,
                  const std::function<void(std::int64_t first, std::int64_t last)>& part);

}  // namespace detente::tensor
