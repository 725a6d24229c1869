// SPDX-License-Identifier: Apache-2.0
#include <detente/simd/adamw.h>
#include <detente/simd/internal/highway.h>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "detente/simd/adamw.cpp"
#include <hwy/foreach_target.h>
// Once for each target from here.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace detente::simd::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// From number i on while whole vectors remain; returns where it stopped.
template <class D, class T = hn::TFromD<D>>
std::int64_t update_from(D d,
                         std::int64_t i,
                         std::int64_t count,
                         T* theta,
                         const T* gradient,
                         T* m,
                         T* v,
                         const AdamWFactors& f) {
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  const auto decay = hn::Set(d, static_cast<T>(f.decay));
  const auto beta1 = hn::Set(d, static_cast<T>(f.beta1));
  const auto beta2 = hn::Set(d, static_cast<T>(f.beta2));
  const auto rest1 = hn::Set(d, static_cast<T>(1.0 - f.beta1));
  const auto rest2 = hn::Set(d, static_cast<T>(1.0 - f.beta2));
  const auto step_size = hn::Set(d, static_cast<T>(f.step_size));
  const auto scale = hn::Set(d, static_cast<T>(f.scale));
  const auto eps = hn::Set(d, static_cast<T>(f.eps));
  for (; i + lanes <= count; i += lanes) {
    const auto g = gradient == nullptr ? hn::Zero(d) : hn::LoadU(d, gradient + i);
    const auto mean = hn::Add(hn::Mul(beta1, hn::LoadU(d, m + i)), hn::Mul(rest1, g));
    const auto square = hn::Add(hn::Mul(beta2, hn::LoadU(d, v + i)), hn::Mul(hn::Mul(rest2, g), g));
    hn::StoreU(mean, d, m + i);
    hn::StoreU(square, d, v + i);
    const auto below = hn::Add(hn::Mul(hn::Sqrt(square), scale), eps);
    const auto step = hn::Div(hn::Mul(step_size, mean), below);
    hn::StoreU(hn::Sub(hn::Mul(decay, hn::LoadU(d, theta + i)), step), d, theta + i);
  }
  return i;
}

template <class T>
void update(T* theta, const T* gradient, T* m, T* v, std::int64_t count, const AdamWFactors& f) {
  const hn::ScalableTag<T> d;
  const hn::CappedTag<T, 1> one;
  const std::int64_t whole = update_from(d, 0, count, theta, gradient, m, v, f);
  update_from(one, whole, count, theta, gradient, m, v, f);
}

void update_floats(float* theta,
                   const float* gradient,
                   float* m,
                   float* v,
                   std::int64_t count,
                   const AdamWFactors& f) {
  update(theta, gradient, m, v, count, f);
}
void update_doubles(double* theta,
                    const double* gradient,
                    double* m,
                    double* v,
                    std::int64_t count,
                    const AdamWFactors& f) {
  update(theta, gradient, m, v, count, f);
}

}  // namespace detente::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace detente::simd {
namespace {

HWY_EXPORT(update_floats);
HWY_EXPORT(update_doubles);

}  // namespace

void adamw_update(float* theta,
                  const float* gradient,
                  float* m,
                  float* v,
                  std::int64_t count,
                  const AdamWFactors& factors) {
  DETENTE_DISPATCH(update_floats)(theta, gradient, m, v, count, factors);
}

void adamw_update(double* theta,
                  const double* gradient,
                  double* m,
                  double* v,
                  std::int64_t count,
                  const AdamWFactors& factors) {
  DETENTE_DISPATCH(update_doubles)(theta, gradient, m, v, count, factors);
}

}  // namespace detente::simd
#endif
