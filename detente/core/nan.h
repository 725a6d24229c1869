// SPDX-License-Identifier: Apache-2.0
// What stands where there is no number.
#pragma once

#include <limits>

namespace detente {

inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

}  // namespace detente
