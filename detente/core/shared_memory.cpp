// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/shared_memory.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace detente {

SharedMemory::SharedMemory(const std::string& name, std::size_t bytes) : size_(bytes) {
  const auto refuse = [this](const char* what) {
    const int error = errno;
    if (descriptor_ >= 0) ::close(descriptor_);
    fail(ErrorCode::kIo,
         "[core::SharedMemory] cannot {} {} bytes of shared memory: {}.",
         what,
         size_,
         std::strerror(error));
  };
  descriptor_ = ::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor_ < 0 || ::ftruncate(descriptor_, static_cast<off_t>(bytes)) != 0) refuse("make");
  if (::fcntl(descriptor_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    refuse("seal");
  }
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
  if (memory == MAP_FAILED) refuse("map");
  memory_ = static_cast<std::byte*>(memory);
}

SharedMemory::~SharedMemory() {
  ::munmap(memory_, size_);
  ::close(descriptor_);
}

}  // namespace detente
