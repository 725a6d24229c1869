// SPDX-License-Identifier: Apache-2.0
// Random changes of a training recording that leave what it says as it is.
//
//   shift  moved by up to so many frames, earlier or later; what comes in is the recording's own
//          where it goes on there, else silence
//   masks  so many bands of frames (and of pitches), each of 0 to `width` of them, become the
//          training recordings' mean (SpecAugment, Park et al. 2019, without its warping)
#pragma once

#include <detente/core/fields.h>
#include <detente/core/rng.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace detente::data {

struct SoundAugmentation {
  std::int64_t shift = 0;
  std::int64_t time_masks = 0;
  std::int64_t time_width = 10;
  std::int64_t mel_masks = 0;
  std::int64_t mel_width = 8;

  void describe(FieldVisitor& visitor);

  // Frames that the recording comes later, within ± shift.
  std::int64_t draw_shift(Rng& rng) const;
  // `energies` [bands, frames], standardised: the mean is 0.
  void mask(std::span<float> energies, std::size_t bands, std::size_t frames, Rng& rng) const;
};

}  // namespace detente::data
