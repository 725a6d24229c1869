// SPDX-License-Identifier: Apache-2.0
// A small random generator whose numbers are the same on every machine and standard library
// (std:: distributions are not), and whose state is four words that go into a snapshot.
//
// xoshiro256** (Blackman and Vigna, ACM TOMS 2021), seeded through splitmix64.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace detente {

class Rng {
 public:
  using result_type = std::uint64_t;

  explicit Rng(std::uint64_t seed = 0);

  // 64 uniformly random bits.
  std::uint64_t operator()();
  static constexpr std::uint64_t min() { return 0; }
  static constexpr std::uint64_t max() { return ~std::uint64_t{0}; }

  // Uniform in [0, 1), 53 bits.
  double uniform();
  // [low, high).
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  // Standard normal (polar method; no spare is kept, so the state is the four words alone).
  double normal();
  // Uniform in {0, ..., n - 1}, without modulo bias; n >= 1.
  std::uint64_t below(std::uint64_t n);

  // Fisher-Yates.
  template <class T>
  void shuffle(std::vector<T>& values) {
    for (std::size_t i = values.size(); i > 1; --i) {
      std::swap(values[i - 1], values[static_cast<std::size_t>(below(i))]);
    }
  }

  // A generator for an independent purpose (epoch shuffles, dropout, a method), named by `stream`.
  Rng fork(std::uint64_t stream) const;

  const std::array<std::uint64_t, 4>& state() const { return state_; }
  void set_state(const std::array<std::uint64_t, 4>& state) { state_ = state; }

 private:
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace detente
