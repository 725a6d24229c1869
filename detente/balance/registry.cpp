// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>

#include <array>

// One line per method, in the order of docs/methods. An explicit list, because objects that
// register themselves are dropped by the linker from a static library.
#define DETENTE_METHODS(METHOD) \
  METHOD(ew)                    \
  METHOD(constant)              \
  METHOD(stl)                   \
  METHOD(rlw)                   \
  METHOD(gls)                   \
  METHOD(si)                    \
  METHOD(log)                   \
  METHOD(uw)                    \
  METHOD(uw_so)                 \
  METHOD(imtl_l)                \
  METHOD(dwa)                   \
  METHOD(cov)                   \
  METHOD(dtp)                   \
  METHOD(famo)                  \
  METHOD(go4align)              \
  METHOD(stch)                  \
  METHOD(pbi)                   \
  METHOD(cosmos)                \
  METHOD(gradnorm)              \
  METHOD(mgda)                  \
  METHOD(mgda_ub)               \
  METHOD(rgw)                   \
  METHOD(metabalance)           \
  METHOD(pcgrad)                \
  METHOD(cagrad)                \
  METHOD(cagrad_fast)           \
  METHOD(conicgrad)             \
  METHOD(gradvac)               \
  METHOD(dualproj)              \
  METHOD(upgrad)                \
  METHOD(nash_mtl)              \
  METHOD(fairgrad)              \
  METHOD(dibs)                  \
  METHOD(imtl_g)                \
  METHOD(imtl)                  \
  METHOD(config)                \
  METHOD(aligned_mtl)           \
  METHOD(pareto_mtl)            \
  METHOD(epo)                   \
  METHOD(ferero)                \
  METHOD(krum)                  \
  METHOD(sdmgrad)               \
  METHOD(modo)                  \
  METHOD(graddrop)              \
  METHOD(trimmed_mean)          \
  METHOD(excess_mtl)            \
  METHOD(moco)                  \
  METHOD(sam_gs)                \
  METHOD(m_config)              \
  METHOD(db_mtl)                \
  METHOD(cr_mogm)               \
  METHOD(every_n)               \
  METHOD(arml)

namespace detente::balance {

#define DETENTE_DECLARE(name) MethodInfo name##_info();
DETENTE_METHODS(DETENTE_DECLARE)
#undef DETENTE_DECLARE

namespace {

const std::vector<MethodInfo>& table() {
#define DETENTE_CALL(name) name##_info(),
  static const std::vector<MethodInfo> methods = {DETENTE_METHODS(DETENTE_CALL)};
#undef DETENTE_CALL
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
    LawName{kRotation, "rotation"},
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
       "[balance::make_method] '{}' is not a method; {}",
       name,
       expected_one_of(name, names));
}

}  // namespace detente::balance
