// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace detente {

// At most so many of the numbers below `size`, ascending and evenly spread from 0 on; all where there are
// no more.
inline std::vector<std::size_t> spread_rows(std::size_t size, std::size_t most) {
  std::vector<std::size_t> rows(std::min(size, most));
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = i * size / rows.size();
  return rows;
}

}  // namespace detente
