// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/cagrad.h>
#include <detente/balance/ew.h>
#include <detente/balance/mgda.h>
#include <detente/balance/pcgrad.h>
#include <detente/balance/registry.h>
#include <detente/balance/uw.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>

#include <array>

namespace detente::balance {
namespace {

constexpr MethodClass kL = MethodClass::kLoss;
constexpr MethodClass kG = MethodClass::kGram;

// What nearly every method claims.
constexpr unsigned kCommon =
    kPermutation | kScaleInvariant | kMeanWhenAligned | kUniformWhenOrthonormal | kDeterministic;

// An explicit table, because objects that register themselves are dropped by the linker from a
// static library. Laws hold for the default options.
const std::vector<MethodInfo>& table() {
  static const std::vector<MethodInfo> methods = {
      {.name = "ew",
       .title = "Equal weighting",
       .summary = "Every loss counts the same.",
       .when = "The baseline; tune it first. Right when gradients agree and have similar norms.",
       .paper = "Folklore; see Kurin et al., NeurIPS 2022, arXiv 2201.04122",
       .method_class = kL,
       .laws = kCommon | kSimplex | kSingleTaskIdentity | kIdenticalRowsIdentity | kZeroRowIgnored,
       .make = &make_ew},
      {.name = "uw",
       .title = "Uncertainty weighting",
       .summary = "Each loss is divided by a learned variance.",
       .when = "Losses in different units or noise levels, when one backward pass per step is all "
               "you can afford. Losses must not be negative.",
       .paper = "Kendall, Gal, Cipolla, CVPR 2018, arXiv 1705.07115",
       .method_class = kL,
       .stateful = true,
       .laws = kCommon | kZeroRowIgnored,
       .make = &make_uw},
      {.name = "mgda",
       .title = "Multiple-gradient descent",
       .summary = "The shortest vector in the gradients' convex hull.",
       .when = "When no task may ever get worse and any Pareto point will do; slow near the Pareto "
               "set, and it favours the task with the smallest gradient.",
       .paper = "Désidéri, C. R. Acad. Sci. 2012; Sener, Koltun, NeurIPS 2018, arXiv 1810.04650",
       .method_class = kG,
       .laws = kCommon | kNonConflicting | kSimplex | kSingleTaskIdentity | kIdenticalRowsIdentity |
               kDuplicateInvariant,
       .make = &make_mgda},
      {.name = "pcgrad",
       .title = "Projecting conflicting gradients",
       .summary = "Each gradient loses its component against the others before they are added.",
       .when = "A cheap first step beyond the sum when gradients conflict and differ in size; "
               "harmless to both tasks for k = 2, no guarantee beyond.",
       .paper = "Yu et al., NeurIPS 2020, arXiv 2001.06782",
       .method_class = kG,
       .laws = kScaleInvariant | kMeanWhenAligned | kUniformWhenOrthonormal | kSingleTaskIdentity |
               kZeroRowIgnored,
       .make = &make_pcgrad},
      {.name = "cagrad",
       .title = "Conflict-averse gradient descent",
       .summary = "The direction near the mean gradient that helps the worst task most.",
       .when = "The mean loss is what counts, but no task should be sacrificed on the way; c in "
               "[0.2, 0.8] is a good start.",
       .paper = "Liu et al., NeurIPS 2021, arXiv 2110.14048",
       .method_class = kG,
       .laws = kCommon | kZeroRowIgnored,
       .make = &make_cagrad},
  };
  return methods;
}

struct LawName {
  Law law;
  const char* name;
};

constexpr std::array kLawNames = {
    LawName{kPermutation, "permutation"},
    LawName{kScaleInvariant, "scale_invariant"},
    LawName{kNonConflicting, "non_conflicting"},
    LawName{kMeanWhenAligned, "mean_when_aligned"},
    LawName{kUniformWhenOrthonormal, "uniform_when_orthonormal"},
    LawName{kDeterministic, "deterministic"},
    LawName{kSimplex, "simplex"},
    LawName{kSingleTaskIdentity, "single_task_identity"},
    LawName{kIdenticalRowsIdentity, "identical_rows_identity"},
    LawName{kDuplicateInvariant, "duplicate_invariant"},
    LawName{kRowScaleLinear, "row_scale_linear"},
    LawName{kRowScaleInvariant, "row_scale_invariant"},
    LawName{kZeroRowIgnored, "zero_row_ignored"},
};

}  // namespace

const char* name_of(Law law) {
  for (const LawName& entry : kLawNames) {
    if (entry.law == law) return entry.name;
  }
  return "?";
}

std::vector<std::string> law_names(unsigned laws) {
  std::vector<std::string> names;
  for (const LawName& entry : kLawNames) {
    if ((laws & entry.law) != 0) names.emplace_back(entry.name);
  }
  return names;
}

std::span<const MethodInfo> registry() { return table(); }

const MethodInfo* find_method(std::string_view name) {
  for (const auto& info : table()) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

std::vector<std::string> method_names() {
  std::vector<std::string> names;
  for (const auto& info : table()) names.push_back(info.name);
  return names;
}

std::unique_ptr<Method> make_method(std::string_view name) {
  if (const MethodInfo* info = find_method(name)) return info->make();
  const auto names = method_names();
  fail(ErrorCode::kInvalidArgument,
       "[balance::make_method] '{}' is not a method; expected one of: {}.{}",
       name,
       join_names(names),
       did_you_mean(name, names));
}

}  // namespace detente::balance
