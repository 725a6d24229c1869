// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/aligned_mtl.h>
#include <detente/balance/cagrad.h>
#include <detente/balance/config.h>
#include <detente/balance/constant.h>
#include <detente/balance/dualproj.h>
#include <detente/balance/dwa.h>
#include <detente/balance/ew.h>
#include <detente/balance/fairgrad.h>
#include <detente/balance/gls.h>
#include <detente/balance/gradvac.h>
#include <detente/balance/imtl_g.h>
#include <detente/balance/imtl_l.h>
#include <detente/balance/log.h>
#include <detente/balance/mgda.h>
#include <detente/balance/nash_mtl.h>
#include <detente/balance/pcgrad.h>
#include <detente/balance/registry.h>
#include <detente/balance/rlw.h>
#include <detente/balance/si.h>
#include <detente/balance/stch.h>
#include <detente/balance/upgrad.h>
#include <detente/balance/uw.h>
#include <detente/balance/uw_so.h>
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
      {.name = "constant",
       .title = "Constant weights",
       .summary = "Every loss has a weight of your choice.",
       .when = "When you know the weights, or search for them; with one weight 1 and the rest 0 it "
               "is single-task training, the yardstick for everything else.",
       .paper = "Folklore",
       .method_class = kL,
       .laws = kCommon | kSingleTaskIdentity | kZeroRowIgnored,
       .make = &make_constant},
      {.name = "rlw",
       .title = "Random loss weighting",
       .summary = "Weights drawn anew at every step, equal on average.",
       .when =
           "As a control: what a method gains over this is more than noise in the weights gives.",
       .paper = "Lin, Ye, Zhang, Tsang, TMLR 2022, arXiv 2111.10603",
       .method_class = kL,
       .laws = kScaleInvariant | kMeanWhenAligned | kSimplex | kSingleTaskIdentity |
               kIdenticalRowsIdentity,
       .make = &make_rlw},
      {.name = "gls",
       .title = "Geometric loss strategy",
       .summary = "The gradient of the geometric mean of the losses.",
       .when = "Positive losses in different units, without state or tuning; the length of the "
               "step then depends on the losses.",
       .paper = "Chennupati et al., CVPR workshops 2019, arXiv 1904.08492",
       .method_class = kL,
       .laws = kCommon | kSingleTaskIdentity | kZeroRowIgnored,
       .make = &make_gls},
      {.name = "si",
       .title = "Scale-invariant baseline",
       .summary = "The gradient of the sum of the logarithms of the losses.",
       .when = "Positive losses in different units; the baseline to beat for methods that claim to "
               "handle scale. A solved task takes over.",
       .paper = "Baseline of Navon et al., ICML 2022, arXiv 2202.01017",
       .method_class = kL,
       .laws = kCommon | kZeroRowIgnored,
       .make = &make_si},
      {.name = "log",
       .title = "Log-transformed losses",
       .summary = "The gradient of the sum of log(1 + loss).",
       .when = "When one loss is now and then very large; small losses count as they are.",
       .paper = "Loss balancing option of Ludwig",
       .method_class = kL,
       .laws = kCommon | kZeroRowIgnored,
       .make = &make_log},
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
      {.name = "uw_so",
       .title = "Soft optimal uncertainty weighting",
       .summary = "The weights uw would end at, through a softmax.",
       .when = "As uw, when its weights adapt too slowly; the temperature must be tuned.",
       .paper = "Kirchdorfer et al., 2024, arXiv 2408.07985",
       .method_class = kL,
       .laws = kCommon | kSimplex | kSingleTaskIdentity | kIdenticalRowsIdentity | kZeroRowIgnored,
       .make = &make_uw_so},
      {.name = "imtl_l",
       .title = "IMTL-L",
       .summary = "Loss weights learned so that all weighted losses become equal.",
       .when = "Losses in different units, smoother than si; losses must not be negative.",
       .paper = "Liu et al., ICLR 2021 (Towards Impartial Multi-task Learning)",
       .method_class = kL,
       .stateful = true,
       .laws = kCommon | kZeroRowIgnored,
       .make = &make_imtl_l},
      {.name = "dwa",
       .title = "Dynamic weight average",
       .summary = "A task whose loss falls more slowly gets more weight.",
       .when = "Tasks that learn at different speeds; set window to the steps of an epoch.",
       .paper = "Liu, Johns, Davison, CVPR 2019, arXiv 1803.10704",
       .method_class = kL,
       .stateful = true,
       .laws = kCommon | kSingleTaskIdentity | kZeroRowIgnored,
       .make = &make_dwa},
      {.name = "stch",
       .title = "Smooth Tchebycheff scalarisation",
       .summary = "The gradient of a smooth maximum of the weighted losses.",
       .when = "When the worst task counts and the losses are on comparable scales; reaches Pareto "
               "points no weighted sum can.",
       .paper = "Lin et al., ICML 2024, arXiv 2402.19078",
       .method_class = kL,
       .laws = kCommon | kSingleTaskIdentity,
       .make = &make_stch},
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
      {.name = "gradvac",
       .title = "Gradient Vaccine",
       .summary =
           "Gradients are turned towards each other until their cosine reaches a moving target.",
       .when = "As pcgrad, when tasks are usually aligned and how much they are carries "
               "information (many languages, for example).",
       .paper = "Wang, Tsvetkov, Firat, Cao, ICLR 2021, arXiv 2010.05874",
       .method_class = kG,
       .stateful = true,
       .laws = kScaleInvariant | kMeanWhenAligned | kUniformWhenOrthonormal | kSingleTaskIdentity |
               kZeroRowIgnored,
       .make = &make_gradvac},
      {.name = "dualproj",
       .title = "Dual-cone projection of the mean",
       .summary = "The direction nearest to the mean gradient that harms no task.",
       .when =
           "When the mean gradient is what you want except where it harms a task; no parameter.",
       .paper = "Lopez-Paz, Ranzato, NeurIPS 2017, arXiv 1706.08840",
       .method_class = kG,
       .laws = kCommon | kNonConflicting | kSingleTaskIdentity | kIdenticalRowsIdentity |
               kZeroRowIgnored,
       .make = &make_dualproj},
      {.name = "upgrad",
       .title = "UPGrad",
       .summary = "The mean of the gradients after each was projected so that it harms no task.",
       .when = "No task may get worse and gradients differ in size: unlike dualproj, a large "
               "gradient cannot outweigh a small one before the projection.",
       .paper = "Quinton, Rey, 2024, arXiv 2406.16232",
       .method_class = kG,
       .laws = kCommon | kNonConflicting | kSingleTaskIdentity | kIdenticalRowsIdentity |
               kRowScaleLinear | kZeroRowIgnored,
       .make = &make_upgrad},
      {.name = "nash_mtl",
       .title = "Nash-MTL",
       .summary = "The direction the tasks would agree on in a bargaining game.",
       .when = "Losses of very different scale: the direction does not depend on it. The step "
               "length is fixed, so the learning rate must be chosen for it.",
       .paper = "Navon et al., ICML 2022, arXiv 2202.01017",
       .method_class = kG,
       .laws = kPermutation | kMeanWhenAligned | kUniformWhenOrthonormal | kDeterministic |
               kNonConflicting | kRowScaleInvariant | kZeroRowIgnored,
       .make = &make_nash_mtl},
      {.name = "fairgrad",
       .title = "FairGrad",
       .summary = "The direction whose improvements are fair, with one parameter for how fair.",
       .when = "As nash_mtl (alpha = 1), when you want to trade total for equal improvement.",
       .paper = "Ban, Ji, ICML 2024, arXiv 2402.15638",
       .method_class = kG,
       .laws = kPermutation | kMeanWhenAligned | kUniformWhenOrthonormal | kDeterministic |
               kNonConflicting | kRowScaleInvariant | kZeroRowIgnored,
       .make = &make_fairgrad},
      {.name = "imtl_g",
       .title = "IMTL-G",
       .summary = "The direction whose projections on all gradients are equal.",
       .when = "Equal progress for gradients of different size, for few tasks; for many, prefer "
               "config, which needs no guard.",
       .paper = "Liu et al., ICLR 2021 (Towards Impartial Multi-task Learning)",
       .method_class = kG,
       .laws = kCommon | kSingleTaskIdentity | kIdenticalRowsIdentity | kZeroRowIgnored,
       .make = &make_imtl_g},
      {.name = "config",
       .title = "ConFIG",
       .summary = "The direction at the same angle to every gradient.",
       .when = "Few tasks with independent gradients that must all improve, such as the residuals "
               "of a physics-informed network.",
       .paper = "Liu, Chu, Thuerey, ICLR 2025, arXiv 2408.11104",
       .method_class = kG,
       .laws = kCommon | kSingleTaskIdentity | kRowScaleLinear | kZeroRowIgnored,
       .make = &make_config},
      {.name = "aligned_mtl",
       .title = "Aligned-MTL",
       .summary = "The gradients are made orthogonal and equally long, as little changed as "
                  "possible, then averaged.",
       .when = "Both conflict and dominance, without a parameter; jumps where gradients become "
               "dependent.",
       .paper = "Senushkin et al., CVPR 2023, arXiv 2305.19000",
       .method_class = kG,
       .laws = kCommon | kSingleTaskIdentity | kIdenticalRowsIdentity | kZeroRowIgnored,
       .make = &make_aligned_mtl},
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
