// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/inner.h>
#include <detente/balance/registry.h>
#include <detente/core/error.h>

#include <vector>

namespace detente::balance::internal {
namespace {

std::vector<std::string> inner_names() {
  std::vector<std::string> names;
  for (const MethodInfo& info : registry()) {
    const bool wrapper = info.name == "arml" || info.name == "cr_mogm" || info.name == "every_n";
    if (!wrapper && info.method_class != MethodClass::kCoordinates) names.push_back(info.name);
  }
  return names;
}

}  // namespace

void InnerMethod::describe(FieldVisitor& visitor) {
  visitor.section(
      "inner", "The method whose weights are used; its options stand here.", [this](auto& section) {
        section.kind(
            "method", name_, inner_names(), method_, make_method, "Name of the method inside.");
      });
}

Json InnerMethod::state() const { return {{"method", name_}, {"state", method_->state()}}; }

void InnerMethod::load_state(const Json& state, const std::string& where) {
  const bool legal = state.is_object() && state.contains("method") && state.contains("state") &&
                     state.at("method").is_string();
  DETENTE_CHECK(legal && state.at("method").get<std::string>() == name_,
                ErrorCode::kData,
                "{} the saved state must hold the state of the inner method '{}'; it belongs to "
                "another method or version.",
                where,
                name_);
  method_->load_state(state.at("state"));
}

}  // namespace detente::balance::internal
