// SPDX-License-Identifier: Apache-2.0
// What the tests of all loops share: every target of this machine, every length around a vector's,
// numbers at addresses that suit no vector.
#pragma once

#include <detente/core/rng.h>
#include <detente/simd/target.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

namespace detente::simd {

// Calls `test` with each target in use.
template <class Test>
void for_each_target(const Test& test) {
  for (const Target one : available_targets()) {
    SCOPED_TRACE(name_of(one));
    const UseTarget use(one);
    test();
  }
}

// Numbers in the widest vector of any target.
template <class T>
constexpr std::int64_t kWidest = 64 / static_cast<std::int64_t>(sizeof(T));

template <class T>
std::vector<T> random_numbers(std::int64_t n, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<T> all(static_cast<std::size_t>(n));
  for (T& one : all) one = static_cast<T>(rng.normal());
  return all;
}

// A matrix whose rows are `stride` numbers apart, from an address no vector is aligned to, with NaN
// wherever no number of it lies: what reads too far is seen.
template <class T>
class Rows {
 public:
  Rows(std::int64_t rows, std::int64_t columns, std::uint64_t seed, std::int64_t gap = 3)
      : columns_(columns),
        stride_(columns + gap),
        memory_(static_cast<std::size_t>(rows * stride_ + 1), std::numeric_limits<T>::quiet_NaN()) {
    Rng rng(seed);
    for (std::int64_t r = 0; r < rows; ++r) {
      starts_.push_back(memory_.data() + 1 + r * stride_);
      for (std::int64_t c = 0; c < columns; ++c) (*this)(r, c) = static_cast<T>(rng.normal());
    }
  }

  T& operator()(std::int64_t r, std::int64_t c) {
    return memory_[static_cast<std::size_t>(1 + r * stride_ + c)];
  }
  T operator()(std::int64_t r, std::int64_t c) const {
    return memory_[static_cast<std::size_t>(1 + r * stride_ + c)];
  }
  const T* const* starts() const { return starts_.data(); }
  T* data() { return memory_.data() + 1; }
  std::int64_t stride() const { return stride_; }
  std::int64_t columns() const { return columns_; }
  // What lies between the rows is as it was.
  bool untouched_between() const {
    for (std::size_t i = 0; i < memory_.size(); ++i) {
      const auto at = (static_cast<std::int64_t>(i) - 1) % stride_;
      if ((i == 0 || at >= columns_) && memory_[i] == memory_[i]) return false;
    }
    return true;
  }

 private:
  std::int64_t columns_;
  std::int64_t stride_;
  std::vector<T> memory_;
  std::vector<const T*> starts_;
};

}  // namespace detente::simd
