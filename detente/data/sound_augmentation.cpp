// SPDX-License-Identifier: Apache-2.0
#include <detente/data/sound_augmentation.h>

#include <algorithm>

namespace detente::data {
namespace {

struct MaskedBand {
  std::size_t begin = 0;
  std::size_t end = 0;
};

MaskedBand draw_band(std::size_t size, std::int64_t most, Rng& rng) {
  const std::size_t width =
      rng.below(std::min<std::size_t>(size, static_cast<std::size_t>(most)) + 1);
  const std::size_t begin = rng.below(size - width + 1);
  return {begin, begin + width};
}

}  // namespace

void SoundAugmentation::describe(FieldVisitor& visitor) {
  visitor.integer("shift",
                  shift,
                  {.min = 0, .max = 1e6},
                  "Moved in time by up to so many frames, earlier or later.");
  visitor.integer("time_masks",
                  time_masks,
                  {.min = 0, .max = 1000},
                  "So many stretches of time become the mean (SpecAugment).");
  visitor.integer(
      "time_width", time_width, {.min = 0, .max = 1e6}, "Frames each of them has at most.");
  visitor.integer(
      "mel_masks", mel_masks, {.min = 0, .max = 1000}, "So many ranges of pitch become the mean.");
  visitor.integer(
      "mel_width", mel_width, {.min = 0, .max = 4096}, "Mel bands each of them has at most.");
}

std::int64_t SoundAugmentation::draw_shift(Rng& rng) const {
  if (shift == 0) return 0;
  return static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(2 * shift + 1))) - shift;
}

void SoundAugmentation::mask(std::span<float> energies,
                             std::size_t bands,
                             std::size_t frames,
                             Rng& rng) const {
  for (std::int64_t i = 0; i < time_masks; ++i) {
    const MaskedBand band = draw_band(frames, time_width, rng);
    for (std::size_t m = 0; m < bands; ++m) {
      const auto row = energies.subspan(m * frames, frames);
      std::fill(row.begin() + static_cast<std::ptrdiff_t>(band.begin),
                row.begin() + static_cast<std::ptrdiff_t>(band.end),
                0.0F);
    }
  }
  for (std::int64_t i = 0; i < mel_masks; ++i) {
    const MaskedBand band = draw_band(bands, mel_width, rng);
    const auto rows = energies.subspan(band.begin * frames, (band.end - band.begin) * frames);
    std::fill(rows.begin(), rows.end(), 0.0F);
  }
}

}  // namespace detente::data
