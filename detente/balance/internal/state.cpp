// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/internal/state.h>
#include <detente/core/error.h>

#include <utility>

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

void load_lists(const Json& state,
                std::initializer_list<StateList> lists,
                const std::string& where) {
  std::vector<std::vector<double>> read(lists.size());
  if (!state.is_null()) {
    auto values = read.begin();
    for (const StateList& list : lists) *values++ = state_numbers(state, list.key, where);
  }
  for (const auto& values : read) {
    DETENTE_CHECK(values.size() == read.front().size(),
                  ErrorCode::kData,
                  "{} the saved state has vectors of different sizes.",
                  where);
  }
  auto values = read.begin();
  for (const StateList& list : lists) *list.values = std::move(*values++);
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
