// SPDX-License-Identifier: Apache-2.0
#include <detente/core/workers.h>
#include <detente/data/parallel_rows.h>

#include <algorithm>

namespace detente::data {

void for_each_row(std::size_t count, int threads, const std::function<void(std::size_t)>& body) {
  const std::size_t workers = std::min(worker_count(threads, count), worker_count(0, count));
  share_work(count, workers, [&](std::size_t, std::size_t row) { body(row); });
}

}  // namespace detente::data
