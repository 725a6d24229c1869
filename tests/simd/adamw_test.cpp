// SPDX-License-Identifier: Apache-2.0
#include <detente/simd/adamw.h>

#include <cmath>

#include "tests/simd/each_target.h"

namespace detente::simd {
namespace {

template <class T>
class SimdAdamW : public testing::Test {};
using Numbers = testing::Types<float, double>;
TYPED_TEST_SUITE(SimdAdamW, Numbers);

constexpr AdamWFactors kFactors{
    .decay = 0.999, .beta1 = 0.9, .beta2 = 0.99, .step_size = 0.02, .scale = 1.7, .eps = 1e-6};

// The numbers of n parameters, at addresses no vector is aligned to, with one more on either side.
template <class T>
struct State {
  std::vector<T> theta, gradient, m, v;

  explicit State(std::int64_t n)
      : theta(random_numbers<T>(n + 2, 1)),
        gradient(random_numbers<T>(n + 2, 2)),
        m(random_numbers<T>(n + 2, 3)),
        v(random_numbers<T>(n + 2, 4)) {
    for (T& one : v) one *= one;
  }
  void update(std::int64_t begin, std::int64_t end, bool moved = true) {
    adamw_update(theta.data() + 1 + begin,
                 moved ? gradient.data() + 1 + begin : nullptr,
                 m.data() + 1 + begin,
                 v.data() + 1 + begin,
                 end - begin,
                 kFactors);
  }
  bool operator==(const State&) const = default;
};

// The header's formula, every operation rounded by itself.
template <class T>
void update_by_hand(State<T>& s, std::int64_t n, bool moved) {
  const auto rounded = [](double x) { return static_cast<T>(x); };
  for (std::size_t i = 1; i <= static_cast<std::size_t>(n); ++i) {
    const T g = moved ? s.gradient[i] : T{0};
    volatile T mean = rounded(0.9) * s.m[i];
    volatile T term = rounded(1.0 - 0.9) * g;
    mean = mean + term;
    volatile T square = rounded(0.99) * s.v[i];
    term = rounded(1.0 - 0.99) * g;
    term = term * g;
    square = square + term;
    volatile T below = std::sqrt(square);
    below = below * rounded(1.7);
    below = below + rounded(1e-6);
    volatile T step = rounded(0.02) * mean;
    step = step / below;
    volatile T theta = rounded(0.999) * s.theta[i];
    s.theta[i] = theta - step;
    s.m[i] = mean;
    s.v[i] = square;
  }
}

// So a step is the same on every target.
TYPED_TEST(SimdAdamW, IsTheFormulaToTheLastBitForAnyLength) {
  for_each_target([] {
    for (std::int64_t n = 0; n <= 2 * kWidest<TypeParam> + 1; ++n) {
      for (const bool moved : {true, false}) {
        State<TypeParam> found(n);
        State<TypeParam> expected(n);
        found.update(0, n, moved);
        update_by_hand(expected, n, moved);
        EXPECT_EQ(found, expected) << n << (moved ? "" : " without a gradient");
      }
    }
  });
}

TYPED_TEST(SimdAdamW, IsTheSameToTheLastBitForAnyParts) {
  for_each_target([] {
    State<TypeParam> whole(1000);
    State<TypeParam> parts(1000);
    whole.update(0, 1000);
    const std::int64_t borders[] = {0, 1, 18, 18, 533, 1000};
    for (int p = 0; p < 5; ++p) parts.update(borders[p], borders[p + 1]);
    EXPECT_EQ(whole, parts);
  });
}

TYPED_TEST(SimdAdamW, WithoutAGradientIsWithOneOfZeros) {
  for_each_target([] {
    State<TypeParam> with(77);
    State<TypeParam> without(77);
    with.gradient.assign(79, TypeParam{0});
    without.gradient = with.gradient;
    with.update(0, 77, true);
    without.update(0, 77, false);
    EXPECT_EQ(with, without);
  });
}

TYPED_TEST(SimdAdamW, PassesOnWhatIsNoNumberAndTouchesNothingElse) {
  for_each_target([] {
    for (const std::int64_t at : {0, 16, 36}) {
      State<TypeParam> s(37);
      s.gradient[static_cast<std::size_t>(1 + at)] = std::numeric_limits<TypeParam>::quiet_NaN();
      s.update(0, 37);
      for (std::int64_t i = 0; i < 37; ++i) {
        EXPECT_EQ(std::isnan(s.theta[static_cast<std::size_t>(1 + i)]), i == at);
      }
    }
  });
}

}  // namespace
}  // namespace detente::simd
