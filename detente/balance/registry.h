// SPDX-License-Identifier: Apache-2.0
// The table of all methods: the command line, recipes, benchmarks, tests and documentation read it.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <detente/balance/method.h>

namespace detente::balance {

// Laws a method claims; the registry tests check every claim (tests/balance/laws_test.cpp).
enum Law : unsigned {
  kPermutation = 1U << 0,       // permuting tasks permutes weights
  kScaleInvariant = 1U << 1,    // J → sJ leaves the weights unchanged (direction scales with s)
  kNonConflicting = 1U << 2,    // (gram w)_i >= 0 for every task
  kMeanWhenAligned = 1U << 3,   // identical rows give a multiple of that row
  kUniformWhenOrthonormal = 1U << 4,  // orthogonal rows of equal norm give equal weights
  kDeterministic = 1U << 5,     // no random numbers
};

struct MethodInfo {
  std::string name;       // "cagrad": the same word in the CLI, recipes, docs and file names
  std::string title;      // "Conflict-Averse Gradient descent"
  std::string summary;    // one sentence
  std::string when;       // when to choose it, one or two sentences
  std::string paper;      // authors, venue, year, arXiv id
  MethodClass method_class = MethodClass::kGram;
  bool stateful = false;
  unsigned laws = 0;      // Law bits
  std::unique_ptr<Method> (*make)() = nullptr;
};

// In the order of docs/methods.
std::span<const MethodInfo> registry();

// Null when there is none of that name.
const MethodInfo* find_method(std::string_view name);
std::vector<std::string> method_names();

// A method with its default options; throws kInvalidArgument with the nearest name.
std::unique_ptr<Method> make_method(std::string_view name);

}  // namespace detente::balance
