// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/registry.h>

#include <array>

#include <detente/balance/ew.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>

namespace detente::balance {
namespace {

// An explicit table, because objects that register themselves are dropped by the linker from a
// static library.
const auto& table() {
  static const std::array methods = {
      MethodInfo{"ew", "Equal weighting", "Every loss counts the same.",
                 "The baseline; tune it first. Right when gradients agree and have similar norms.",
                 "Folklore; see Kurin et al., NeurIPS 2022, arXiv 2201.04122", MethodClass::kLoss,
                 false,
                 kPermutation | kScaleInvariant | kMeanWhenAligned | kUniformWhenOrthonormal |
                     kDeterministic,
                 &make_ew},
  };
  return methods;
}

}  // namespace

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
  fail(ErrorCode::kInvalidArgument, "[balance::make_method] '{}' is not a method; expected one of: {}.{}",
       name, join_names(names), did_you_mean(name, names));
}

}  // namespace detente::balance
