// SPDX-License-Identifier: Apache-2.0
// Counts the heap allocations of a program whose CMake target was given to
// detente_count_allocations() (allocations.cmake): the linker then leads malloc in all code that is
// linked statically, Eigen's included, and operator new everywhere past the counter.
#pragma once

#include <cstdint>

namespace detente::test {

// Since the start of the program, by all threads.
std::int64_t allocations();

}  // namespace detente::test
