// SPDX-License-Identifier: Apache-2.0
// What a process and one of its workers share while they step: a block of memory without a name, so
// that nothing is left behind however either ends. Who may write when is settled by the messages
// between them (worker.h).
//
//   bytes 0-7 "DETWORLD", then u32 protocol, tasks n, observation O, action A (host's byte order)
//   episodes  u64 n      by the process: the number of each task's next episode
//   actions   f32 n x A  by the process; by the worker where its experts act
//   after     f32 n x O  by the worker from here on: what followed the actions
//   now       f32 n x O  what to act on next
//   rewards   f32 n
//   success, ended, truncated  u8 n each
//   mask      u8 n       by the process: tasks that a reset is for
//
// Each part begins at a multiple of 64 bytes.
#pragma once

#include <detente/core/shared_memory.h>

#include <cstddef>
#include <cstdint>

namespace detente::worlds {

inline constexpr std::uint32_t kProtocol = 1;

struct FrameLayout {
  FrameLayout(std::size_t tasks, std::size_t observation, std::size_t action);

  std::size_t tasks;
  std::size_t observation;
  std::size_t action;
  // Where the parts begin, and the size of the whole.
  std::size_t episodes, actions, after, now, rewards, success, ended, truncated, mask, bytes;
};

// Memory of that layout, its header written, all else 0. Throws kIo where the system gives none.
class SharedFrame {
 public:
  explicit SharedFrame(const FrameLayout& layout);

  const FrameLayout& layout() const { return layout_; }
  int descriptor() const { return memory_.descriptor(); }

  std::uint64_t* episodes() const { return at<std::uint64_t>(layout_.episodes); }
  float* actions() const { return at<float>(layout_.actions); }
  float* after() const { return at<float>(layout_.after); }
  float* now() const { return at<float>(layout_.now); }
  float* rewards() const { return at<float>(layout_.rewards); }
  std::uint8_t* success() const { return at<std::uint8_t>(layout_.success); }
  std::uint8_t* ended() const { return at<std::uint8_t>(layout_.ended); }
  std::uint8_t* truncated() const { return at<std::uint8_t>(layout_.truncated); }
  std::uint8_t* mask() const { return at<std::uint8_t>(layout_.mask); }

 private:
  template <class T>
  T* at(std::size_t place) const {
    return reinterpret_cast<T*>(memory_.bytes().data() + place);
  }

  FrameLayout layout_;
  SharedMemory memory_;
};

}  // namespace detente::worlds
