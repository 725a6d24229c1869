// SPDX-License-Identifier: Apache-2.0
// DETENTE_CLONES before a function: compiled for several instruction sets, the best one chosen when
// the program is loaded. For loops over GCC's vector types, whose time it halves on AVX-512.
#pragma once

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
#define DETENTE_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define DETENTE_CLONES
#endif
