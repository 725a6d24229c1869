// SPDX-License-Identifier: Apache-2.0
// Threads that share a number of equal pieces of work, without LibTorch.
#pragma once

#include <cstddef>
#include <functional>

namespace detente {

// How many to use: `wanted`, all cores for 0 or less; never more than `count`, and at least 1.
std::size_t worker_count(int wanted, std::size_t count);

// body(worker, i) for i < count on so many threads, worker < workers; fewer where the system has no
// more. Which worker has which i differs from run to run. When all have ended, the error of the lowest
// i that had one is thrown; the work stops where there is one.
void share_work(std::size_t count,
                std::size_t workers,
                const std::function<void(std::size_t worker, std::size_t i)>& body);

}  // namespace detente
