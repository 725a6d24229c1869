// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/state.h>
#include <detente/core/error.h>

namespace detente::balance::internal {

std::vector<double> state_numbers(const Json& state, const char* key, const std::string& where) {
  const bool found = state.is_object() && state.contains(key) && state.at(key).is_array();
  DETENTE_CHECK(found,
                ErrorCode::kData,
                "{} the saved state has no list '{}'; it belongs to another method or version.",
                where,
                key);
  std::vector<double> values;
  for (const Json& value : state.at(key)) {
    DETENTE_CHECK(value.is_number(),
                  ErrorCode::kData,
                  "{} the saved state's '{}' must hold numbers; got {}.",
                  where,
                  key,
                  value.dump());
    values.push_back(value.get<double>());
  }
  return values;
}

std::int64_t state_integer(const Json& state, const char* key, const std::string& where) {
  const bool found = state.is_object() && state.contains(key) && state.at(key).is_number_integer();
  DETENTE_CHECK(found,
                ErrorCode::kData,
                "{} the saved state has no whole number '{}'; it belongs to another method or "
                "version.",
                where,
                key);
  return state.at(key).get<std::int64_t>();
}

void check_tasks(std::size_t expected, std::size_t got, std::string_view where) {
  DETENTE_CHECK(expected == got,
                ErrorCode::kShape,
                "{} keeps a state per task; expected {} tasks as in the steps before, got {}.",
                where,
                expected,
                got);
}

}  // namespace detente::balance::internal
