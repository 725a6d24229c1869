// SPDX-License-Identifier: Apache-2.0
// Rows that are read or decoded one by one, on several threads.
#pragma once

#include <cstddef>
#include <functional>

namespace detente::data {

// body(0), ..., body(count - 1), on `threads` threads (0: as many as there are cores, which are also
// the most). Of several errors the first row's is thrown, as if there were one thread.
void for_each_row(std::size_t count, int threads, const std::function<void(std::size_t)>& body);

}  // namespace detente::data
