// SPDX-License-Identifier: Apache-2.0
// The project's JSON type, and a writer for numbers JSON itself cannot hold.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>

namespace detente {

// Keys keep the order in which they were written, so files read as they were meant.
using Json = nlohmann::ordered_json;

// A finite number as itself; NaN and infinities as null, because JSON has no word for them.
inline Json json_number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

}  // namespace detente
