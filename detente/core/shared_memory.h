// SPDX-License-Identifier: Apache-2.0
// Memory without a name that another process gets by its descriptor, so that nothing is left behind however
// either ends.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace detente {

class SharedMemory {
 public:
  // Zeros; takes room when it is written to. Whoever gets the descriptor cannot change its size: one that made
  // it smaller would end this process by SIGBUS. `name` is for those who look into /proc. Throws kIo where the
  // system gives none.
  SharedMemory(const std::string& name, std::size_t bytes);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  int descriptor() const { return descriptor_; }
  std::span<std::byte> bytes() const { return {memory_, size_}; }

 private:
  std::size_t size_;
  int descriptor_ = -1;
  std::byte* memory_ = nullptr;
};

}  // namespace detente
