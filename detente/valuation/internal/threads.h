// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>

namespace detente::valuation::internal {

// How many threads for_each uses: `wanted`, all cores for 0 or less; never more than `count`, and
// at least 1.
std::size_t thread_count(int wanted, std::size_t count);

// body(worker, i) for i < count on so many threads, worker < threads; the first error is thrown
// when all have ended. Which worker has which i differs from run to run.
void for_each(std::size_t count,
              std::size_t threads,
              const std::function<void(std::size_t worker, std::size_t i)>& body);

}  // namespace detente::valuation::internal
