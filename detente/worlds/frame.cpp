// SPDX-License-Identifier: Apache-2.0
#include <detente/worlds/frame.h>

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

SharedFrame::SharedFrame(const FrameLayout& layout)
    : layout_(layout), memory_("detente-worlds", layout.bytes) {
  const std::uint32_t sizes[] = {kProtocol,
                                 static_cast<std::uint32_t>(layout_.tasks),
                                 static_cast<std::uint32_t>(layout_.observation),
                                 static_cast<std::uint32_t>(layout_.action)};
  std::memcpy(at<char>(0), "DETWORLD", 8);
  std::memcpy(at<char>(8), sizes, sizeof sizes);
}

}  // namespace detente::worlds
