// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <detente/core/json.h>

#include <string>

namespace detente {

// Always text that a JSON parser takes: bytes that are no UTF-8 (a folder's name may hold any) become
// U+FFFD. On one line with `indent` -1.
inline std::string json_text(const Json& json, int indent = 2) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace detente
