// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/log_mel.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

namespace detente::data {
namespace {

constexpr double kMostTransform = 1 << 20;

// Slaney's scale: 3 mel for 200 Hz up to 1 kHz, then 27 for each factor of 6.4.
constexpr double kHertzPerMel = 200.0 / 3;
constexpr double kLogFrom = 1000;  // Hz
constexpr double kLogFromMel = kLogFrom / kHertzPerMel;
const double kLogStep = std::log(6.4) / 27;

double to_mel(double hertz) {
  return hertz < kLogFrom ? hertz / kHertzPerMel
                          : kLogFromMel + std::log(hertz / kLogFrom) / kLogStep;
}

double to_hertz(double mel) {
  return mel < kLogFromMel ? mel * kHertzPerMel
                           : kLogFrom * std::exp((mel - kLogFromMel) * kLogStep);
}

std::size_t samples_in(double milliseconds, std::int64_t rate, const char* name) {
  const double samples = std::round(milliseconds * 1e-3 * static_cast<double>(rate));
  DETENTE_CHECK(samples >= 1 && samples <= kMostTransform,
                ErrorCode::kInvalidArgument,
                "[data::LogMel] 'data.mel.{}' of {} ms is {} samples at {} Hz; expected 1 to {}.",
                name,
                number_text(milliseconds),
                number_text(samples),
                rate,
                number_text(kMostTransform));
  return static_cast<std::size_t>(samples);
}

}  // namespace

void LogMelOptions::describe(FieldVisitor& visitor) {
  visitor.number("window", window, {.min = 0, .max = 1e5, .min_open = true}, "Its length in ms.");
  visitor.number("hop", hop, {.min = 0, .max = 1e5, .min_open = true}, "ms from frame to frame.");
  visitor.integer(
      "fft",
      fft,
      {.min = 0, .max = kMostTransform},
      "Samples of the Fourier transform, a power of two; 0: the smallest that holds the "
      "window.");
  visitor.integer("mels", mels, {.min = 1, .max = 4096}, "Bands.");
  visitor.number("fmin", fmin, {.min = 0, .max = 1e7}, "Hz: where the lowest band begins.");
  visitor.number(
      "fmax", fmax, {.min = 0, .max = 1e7}, "Hz: where the highest ends; 0: half the rate.");
  visitor.number("floor",
                 floor,
                 {.min = 0, .max = 1e6, .min_open = true},
                 "Energies below this count as this. A sine at full scale has some tens.");
}

LogMel::LogMel(const LogMelOptions& options, std::int64_t rate)
    : hop_(samples_in(options.hop, rate, "hop")),
      floor_(options.floor),
      silence_(static_cast<float>(std::log(options.floor))) {
  const std::size_t length = samples_in(options.window, rate, "window");
  const std::size_t n = options.fft > 0 ? static_cast<std::size_t>(options.fft)
                                        : std::max<std::size_t>(std::bit_ceil(length), 2);
  DETENTE_CHECK(std::has_single_bit(n) && n >= 2 && n >= length,
                ErrorCode::kInvalidArgument,
                "[data::LogMel] 'data.mel.fft' is {}; expected a power of two of at least {}, the "
                "samples of a window of {} ms at {} Hz.",
                n,
                std::max<std::size_t>(length, 2),
                number_text(options.window),
                rate);
  const double highest = static_cast<double>(rate) / 2;
  const double fmax = options.fmax > 0 ? options.fmax : highest;
  DETENTE_CHECK(fmax <= highest && options.fmin < fmax,
                ErrorCode::kInvalidArgument,
                "[data::LogMel] bands from {} to {} Hz; expected 'data.mel.fmin' below "
                "'data.mel.fmax', and that at most {}, half the rate of {} Hz.",
                number_text(options.fmin),
                number_text(fmax),
                number_text(highest),
                rate);
  window_.assign(n, 0);
  const std::size_t before = (n - length) / 2;
  for (std::size_t i = 0; i < length; ++i) {
    const double turn = static_cast<double>(i) / static_cast<double>(length);
    window_[before + i] = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * turn);
  }
  // A window of one sample would be nothing.
  if (length == 1) window_[before] = 1;
  for (std::size_t k = 0; k < n / 2; ++k) {
    const double angle = -2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n);
    twiddles_.emplace_back(std::cos(angle), std::sin(angle));
  }

  const auto bands = static_cast<std::size_t>(options.mels);
  const double low = to_mel(options.fmin);
  const double step = (to_mel(fmax) - low) / static_cast<double>(bands + 1);
  const double bin = static_cast<double>(rate) / static_cast<double>(n);
  for (std::size_t m = 0; m < bands; ++m) {
    const double left = to_hertz(low + static_cast<double>(m) * step);
    const double centre = to_hertz(low + static_cast<double>(m + 1) * step);
    const double right = to_hertz(low + static_cast<double>(m + 2) * step);
    Filter filter;
    for (std::size_t k = 0; k <= n / 2; ++k) {
      const double hertz = static_cast<double>(k) * bin;
      const double height =
          std::min((hertz - left) / (centre - left), (right - hertz) / (right - centre));
      if (height <= 0) continue;
      if (filter.weights.empty()) filter.first = k;
      filter.weights.push_back(height * 2 / (right - left));
    }
    DETENTE_CHECK(
        !filter.weights.empty(),
        ErrorCode::kInvalidArgument,
        "[data::LogMel] band {} of {}, {:.1f} to {:.1f} Hz, holds none of the transform's "
        "frequencies, which are {:.1f} Hz apart; expected fewer 'data.mel.mels' or a "
        "larger 'data.mel.fft' than {}.",
        m + 1,
        bands,
        left,
        right,
        bin,
        n);
    filters_.push_back(std::move(filter));
  }
}

// Radix 2, decimation in time.
void LogMel::transform_in_place(std::vector<std::complex<double>>& values) const {
  const std::size_t n = values.size();
  for (std::size_t i = 1, j = 0; i < n; ++i) {
    std::size_t bit = n / 2;
    for (; (j & bit) != 0; bit /= 2) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(values[i], values[j]);
  }
  for (std::size_t half = 1; half < n; half *= 2) {
    const std::size_t stride = n / (2 * half);
    for (std::size_t begin = 0; begin < n; begin += 2 * half) {
      for (std::size_t k = 0; k < half; ++k) {
        const std::complex<double> w = twiddles_[k * stride];
        const std::complex<double> b = values[begin + half + k];
        // Spelled out: std::complex's own product looks for NaN.
        const std::complex<double> turned(w.real() * b.real() - w.imag() * b.imag(),
                                          w.real() * b.imag() + w.imag() * b.real());
        values[begin + half + k] = values[begin + k] - turned;
        values[begin + k] += turned;
      }
    }
  }
}

std::vector<float> LogMel::operator()(std::span<const float> samples) const {
  const std::size_t n = transform();
  const std::size_t count = frames(samples.size());
  std::vector<float> energies;
  energies.reserve(count * bands());
  std::vector<std::complex<double>> values(n);
  std::vector<double> power(n / 2 + 1);
  for (std::size_t t = 0; t < count; ++t) {
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t at = t * hop_ + i;  // n / 2 further on than in the recording
      const bool inside = at >= n / 2 && at - n / 2 < samples.size();
      values[i] = inside ? window_[i] * static_cast<double>(samples[at - n / 2]) : 0.0;
    }
    transform_in_place(values);
    for (std::size_t k = 0; k <= n / 2; ++k) power[k] = std::norm(values[k]);
    for (const Filter& filter : filters_) {
      double energy = 0;
      for (std::size_t i = 0; i < filter.weights.size(); ++i) {
        energy += filter.weights[i] * power[filter.first + i];
      }
      energies.push_back(static_cast<float>(std::log(std::max(energy, floor_))));
    }
  }
  return energies;
}

}  // namespace detente::data
