// SPDX-License-Identifier: Apache-2.0
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <detente/tensor/allocation_peak.h>

#include <algorithm>
#include <mutex>

namespace detente::tensor {

struct AllocationPeak::Impl {
  class Counter;
  std::shared_ptr<Counter> counter;
  std::unique_ptr<c10::DebugInfoGuard> guard;
};

class AllocationPeak::Impl::Counter final : public c10::MemoryReportingInfoBase {
 public:
  // Freed blocks come with a negative size.
  void reportMemoryUsage(void* /*ptr*/,
                         std::int64_t size,
                         std::size_t /*allocated*/,
                         std::size_t /*reserved*/,
                         c10::Device /*device*/) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    now_ += size;
    peak_ = std::max(peak_, now_);
  }
  bool memoryProfilingEnabled() const override { return true; }

  std::int64_t now() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return now_;
  }
  std::int64_t peak() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return peak_;
  }
  void restart() {
    const std::lock_guard<std::mutex> lock(mutex_);
    peak_ = now_;
  }

 private:
  mutable std::mutex mutex_;
  std::int64_t now_ = 0;
  std::int64_t peak_ = 0;
};

AllocationPeak::AllocationPeak() : impl_(std::make_unique<Impl>()) {
  impl_->counter = std::make_shared<Impl::Counter>();
  impl_->guard =
      std::make_unique<c10::DebugInfoGuard>(c10::DebugInfoKind::PROFILER_STATE, impl_->counter);
}
AllocationPeak::~AllocationPeak() = default;
std::int64_t AllocationPeak::now() const { return impl_->counter->now(); }
std::int64_t AllocationPeak::peak() const { return impl_->counter->peak(); }
void AllocationPeak::restart() { impl_->counter->restart(); }

}  // namespace detente::tensor
