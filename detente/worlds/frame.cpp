// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/worlds/frame.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace detente::worlds {
namespace {

constexpr std::size_t kHeader = 24;
constexpr std::size_t kAlignment = 64;

}  // namespace

FrameLayout::FrameLayout(std::size_t n, std::size_t o, std::size_t a)
    : tasks(n), observation(o), action(a) {
  std::size_t end = kHeader;
  const auto part = [&end](std::size_t size) {
    const std::size_t begin = (end + kAlignment - 1) / kAlignment * kAlignment;
    end = begin + size;
    return begin;
  };
  episodes = part(8 * n);
  actions = part(4 * n * a);
  after = part(4 * n * o);
  now = part(4 * n * o);
  rewards = part(4 * n);
  success = part(n);
  ended = part(n);
  truncated = part(n);
  mask = part(n);
  bytes = part(0);
}

SharedFrame::SharedFrame(const FrameLayout& layout) : layout_(layout) {
  const auto refuse = [this](const char* what) {
    const int error = errno;
    if (descriptor_ >= 0) ::close(descriptor_);
    fail(ErrorCode::kIo,
         "[worlds::SharedFrame] cannot {} {} bytes of shared memory: {}.",
         what,
         layout_.bytes,
         std::strerror(error));
  };
  descriptor_ = ::memfd_create("detente-worlds", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor_ < 0 || ::ftruncate(descriptor_, static_cast<off_t>(layout_.bytes)) != 0) {
    refuse("make");
  }
  // A worker that made it smaller would end this process by SIGBUS.
  if (::fcntl(descriptor_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    refuse("seal");
  }
  void* memory = ::mmap(nullptr, layout_.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
  if (memory == MAP_FAILED) refuse("map");
  memory_ = static_cast<std::byte*>(memory);
  const std::uint32_t sizes[] = {kProtocol,
                                 static_cast<std::uint32_t>(layout_.tasks),
                                 static_cast<std::uint32_t>(layout_.observation),
                                 static_cast<std::uint32_t>(layout_.action)};
  std::memcpy(memory_, "DETWORLD", 8);
  std::memcpy(memory_ + 8, sizes, sizeof sizes);
}

SharedFrame::~SharedFrame() {
  ::munmap(memory_, layout_.bytes);
  ::close(descriptor_);
}

}  // namespace detente::worlds
