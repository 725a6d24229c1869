// SPDX-License-Identifier: Apache-2.0
#include <ATen/Parallel.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <detente/tensor/parallel.h>

#include <memory>
#include <optional>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace detente::tensor {

void parallel_for(std::int64_t begin,
                  std::int64_t end,
                  std::int64_t grain,
                  const std::function<void(std::int64_t first, std::int64_t last)>& part) {
  const auto kind = c10::DebugInfoKind::PROFILER_STATE;
  c10::DebugInfoBase* const profiler = c10::ThreadLocalDebugInfo::get(kind);
  at::parallel_for(begin, end, grain, [&](std::int64_t first, std::int64_t last) {
    // Who counts the caller's memory counts that of all threads.
    std::optional<c10::DebugInfoGuard> counted;
    if (profiler != nullptr && c10::ThreadLocalDebugInfo::get(kind) != profiler) {
      const std::shared_ptr<void> kept_by_caller;
      counted.emplace(kind, std::shared_ptr<c10::DebugInfoBase>(kept_by_caller, profiler));
    }
#ifdef _OPENMP
    // oneDNN plans a convolution for omp_get_max_threads() threads and waits for all of them. The
    // setting ends with the parallel region; asking LibTorch first keeps it from overwriting it.
    if (omp_in_parallel() != 0 && at::get_num_threads() > 1) omp_set_num_threads(1);
#endif
    part(first, last);
  });
}

}  // namespace detente::tensor
