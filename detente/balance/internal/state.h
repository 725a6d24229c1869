// SPDX-License-Identifier: Apache-2.0
// Reading a method's state back from a snapshot, with errors instead of surprises.
#pragma once

#include <detente/core/json.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace detente::balance::internal {

// Throw kData, their messages opened by `where`, when the member is missing or of another kind.
std::vector<double> state_numbers(const Json& state, const char* key, const std::string& where);
std::int64_t state_integer(const Json& state, const char* key, const std::string& where);

struct StateList {
  const char* key;
  std::vector<double>* values;
};

// Reads a state of lists with one number per task; null: they become empty. Throws kData as above
// and for lists of different sizes, and leaves all of them as they were then.
void load_lists(const Json& state,
                std::initializer_list<StateList> lists,
                const std::string& where);

// A method with state must see the same tasks at every step: kShape otherwise.
void check_tasks(std::size_t expected, std::size_t got, std::string_view where);

}  // namespace detente::balance::internal
