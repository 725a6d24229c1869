// SPDX-License-Identifier: Apache-2.0
// The tolerances of all tests, by what is compared; no test writes a naked 1e-6.
#pragma once

namespace detente::test {

inline constexpr double kRounding = 1e-12;     // float64, a handful of operations
inline constexpr double kAccumulated = 1e-10;  // float64, sums over many terms or iterations
inline constexpr double kCertificate = 1e-9;   // what an exact solver promises, relative
inline constexpr double kReference = 1e-6;     // against an independent iterative solver
inline constexpr double kFloat32 = 1e-5;       // float32 inputs, float64 arithmetic
inline constexpr double kLimit = 1e-3;         // a limit approached at a finite parameter

}  // namespace detente::test
