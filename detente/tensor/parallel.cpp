// SPDX-License-Identifier: Apache-2.0
#include <ATen/Parallel.h>
#include <detente/tensor/parallel.h>

namespace detente::tensor {

void parallel_for(std::int64_t begin,
                  std::int64_t end,
                  std::int64_t grain,
                  const std::function<void(std::int64_t first, std::int64_t last)>& part) {
  at::parallel_for(begin, end, grain, part);
}

}  // namespace detente::tensor
