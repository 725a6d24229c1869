// SPDX-License-Identifier: Apache-2.0
// Log-mel energies: how loud each band of pitch is in each moment, as people hear both.
//
// Frame t is centred at sample t·hop, silence lies before and after the recording; there are
// 1 + floor(samples / hop) of them. With w the periodic Hann window of `window` samples, centred
// within the n of the transform:
//
//   P_t[k] = |Σ_i w[i] x[t·hop − n/2 + i] exp(−2πi·k·i/n)|²,   k = 0 ... n/2
//   L_t[m] = log(max(Σ_k F[m, k] P_t[k], floor))
//
// F[m, ·] is a triangle over the frequencies k·rate/n between three neighbours of mels + 2 points,
// equally far from each other on Slaney's scale (linear below 1 kHz, logarithmic above) from fmin to
// fmax, with area 1 Hz. This is librosa's melspectrogram (center=True, power=2, pad with zeros,
// htk=False, norm="slaney") and the natural logarithm.
#pragma once

#include <detente/core/fields.h>

#include <complex>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace detente::data {

struct LogMelOptions {
  double window = 25;  // ms
  double hop = 10;     // ms
  std::int64_t fft = 0;
  std::int64_t mels = 40;
  double fmin = 0;  // Hz
  double fmax = 0;  // Hz
  double floor = 1e-8;

  void describe(FieldVisitor& visitor);
};

class LogMel {
 public:
  // kInvalidArgument: what does not go with `rate` (samples a second): a window or hop of no sample,
  // a transform that is no power of two or shorter than the window, fmax beyond rate / 2 or not
  // above fmin, a band too narrow to hold a frequency of the transform.
  LogMel(const LogMelOptions& options, std::int64_t rate);

  std::size_t bands() const { return filters_.size(); }
  std::size_t frames(std::size_t samples) const { return 1 + samples / hop_; }
  std::size_t transform() const { return twiddles_.size() * 2; }
  // What silence is in every band.
  float silence() const { return silence_; }

  // frames(samples.size()) × bands(), frame by frame. Costs frames · n log n.
  std::vector<float> operator()(std::span<const float> samples) const;

 private:
  struct Filter {
    std::size_t first = 0;  // frequency of the first weight
    std::vector<double> weights;
  };
  void transform_in_place(std::vector<std::complex<double>>& values) const;

  std::size_t hop_ = 1;
  double floor_ = 0;
  float silence_ = 0;
  std::vector<double> window_;
  std::vector<std::complex<double>> twiddles_;  // exp(−2πi·k/n), k < n/2
  std::vector<Filter> filters_;
};

}  // namespace detente::data
