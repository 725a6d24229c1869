// SPDX-License-Identifier: Apache-2.0
// How much memory tensors take at their peak, counted by LibTorch's own allocators: exact to the
// byte and the same in every run, where a process's size also shows what the C library keeps.
#pragma once

#include <cstdint>
#include <memory>

namespace detente::tensor {

// Counts while it lives, on the thread that made it, the threads of LibTorch's backward passes and
// those of tensor::parallel_for. Make it before the tensors that are to be freed under it, since
// blocks made earlier are unknown; they count as never freed. Costs a lock and a map entry per
// allocation: not for timed code.
class AllocationPeak {
 public:
  AllocationPeak();
  ~AllocationPeak();
  AllocationPeak(const AllocationPeak&) = delete;
  AllocationPeak& operator=(const AllocationPeak&) = delete;

  // Bytes in tensors now, of those made under it.
  std::int64_t now() const;
  // The largest now() since the last restart().
  std::int64_t peak() const;
  void restart();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace detente::tensor
