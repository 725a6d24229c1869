// SPDX-License-Identifier: Apache-2.0
// What the registry knows of a method. Each method's .cpp ends with its own entry, a function
// NAME_info(); registry.cpp lists the names.
#pragma once

#include <detente/balance/method.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace detente::balance {

// Laws a method claims; the registry tests check every claim (tests/balance/laws_test.cpp).
// Laws hold for the default options. For methods of class J, which answer with a direction d
// instead of weights, "the weights are unchanged" reads "d is unchanged" (kPermutation) or "d
// scales with J" (kScaleInvariant).
enum Law : unsigned {
  kPermutation = 1U << 0,             // permuting tasks permutes the weights
  kScaleInvariant = 1U << 1,          // J → sJ leaves the weights unchanged (d scales with s)
  kNonConflicting = 1U << 2,          // (gram w)_i >= 0 for every task
  kMeanWhenAligned = 1U << 3,         // identical rows g give a positive multiple of g
  kUniformWhenOrthonormal = 1U << 4,  // orthogonal rows of equal norm give equal weights
  kDeterministic = 1U << 5,           // no random numbers
  kSimplex = 1U << 6,                 // w >= 0 and Σw = 1
  kSingleTaskIdentity = 1U << 7,      // k = 1 gives w = 1
  kIdenticalRowsIdentity = 1U << 8,   // identical rows g give d = g
  kDuplicateInvariant = 1U << 9,      // appending a copy of a row leaves d unchanged
  kRowScaleLinear = 1U << 10,         // d is additive in c for J → diag(c) J, c > 0
  kRowScaleInvariant = 1U << 11,      // d is unchanged by J → diag(c) J, c > 0
  kZeroRowIgnored = 1U << 12,         // a task without gradient leaves the direction of d unchanged
  // Rotating the gradients rotates d. Holds for all classes but J and is not claimed by them; must
  // fail for those of class J that do not claim it.
  kRotation = 1U << 13,
};

// What nearly every method claims.
inline constexpr unsigned kCommonLaws =
    kPermutation | kScaleInvariant | kMeanWhenAligned | kUniformWhenOrthonormal | kDeterministic;

// As users see them: "non_conflicting".
const char* name_of(Law law);
std::vector<std::string> law_names(unsigned laws);

struct MethodInfo {
  std::string name;     // "cagrad": the same word in the CLI, recipes, docs and file names
  std::string title;    // "Conflict-Averse Gradient descent"
  std::string summary;  // one sentence
  std::string when;     // when to choose it, one or two sentences
  std::string paper;    // authors, venue, year, arXiv id
  MethodClass method_class = MethodClass::kGram;
  bool stateful = false;
  unsigned laws = 0;  // Law bits
  std::unique_ptr<Method> (*make)() = nullptr;
};

}  // namespace detente::balance
