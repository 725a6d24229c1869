// SPDX-License-Identifier: Apache-2.0
#include <detente/core/rng.h>

#include <bit>
#include <cmath>

namespace detente {
namespace {

std::uint64_t splitmix64(std::uint64_t& x) {
  x += 0x9e3779b97f4a7c15ULL;
  std::uint64_t z = x;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace

Rng::Rng(std::uint64_t seed) {
  for (auto& word : state_) word = splitmix64(seed);
}

std::uint64_t Rng::operator()() {
  const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const std::uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

double Rng::uniform() { return static_cast<double>((*this)() >> 11) * 0x1.0p-53; }

double Rng::normal() {
  for (;;) {
    const double u = 2.0 * uniform() - 1.0;
    const double v = 2.0 * uniform() - 1.0;
    const double s = u * u + v * v;
    if (s > 0.0 && s < 1.0) return u * std::sqrt(-2.0 * std::log(s) / s);
  }
}

std::uint64_t Rng::below(std::uint64_t n) {
  const std::uint64_t limit = max() - max() % n;
  for (;;) {
    const std::uint64_t x = (*this)();
    if (x < limit) return x % n;
  }
}

Rng Rng::fork(std::uint64_t stream) const {
  std::uint64_t x = state_[0] ^ std::rotl(state_[3], 13) ^ (stream * 0xd1342543de82ef95ULL);
  return Rng(splitmix64(x));
}

}  // namespace detente
