// SPDX-License-Identifier: Apache-2.0
// Recordings: the first byte says whether the magic numbers of WAV stand before the rest, and a
// header that is good.
#include <detente/data/log_mel.h>
#include <detente/data/sound.h>

#include <cmath>

#include "fuzz.h"

using namespace detente;

namespace {

constexpr std::size_t kMostSamples = 1 << 16;  // more take time and show nothing else

// 16 bits, two channels, 8 kHz.
const std::string kGoodHeader("fmt \x10\0\0\0\x01\0\x02\0\x40\x1f\0\0\0\x7d\0\0\x04\0\x10\0data",
                              28);

}  // namespace

FUZZ(data, size) {
  if (size == 0) return;
  const std::string rest(fuzz::text_of(data + 1, size - 1));
  std::string bytes = rest;
  if (data[0] % 3 == 1) bytes = "RIFF\xff\xff\xff\xffWAVE" + rest;
  if (data[0] % 3 == 2) bytes = "RIFF\xff\xff\xff\xffWAVE" + kGoodHeader + rest;
  fuzz::survive([&] {
    data::Sound sound = data::parse_wav(bytes, "file");
    fuzz::expect(sound.rate > 0 && sound.rate <= data::kHighestRate, "a rate");
    fuzz::expect(!sound.samples.empty(), "a recording has samples");
    fuzz::expect(sound.samples.size() <= bytes.size(), "no more samples than bytes");
    for (const float sample : sound.samples) fuzz::expect(std::isfinite(sample), "finite samples");
    if (sound.samples.size() > kMostSamples) sound.samples.resize(kMostSamples);
    const data::LogMel mel({.mels = 4}, 8000);
    const std::vector<float> energies = mel(sound.samples);
    fuzz::expect(energies.size() == mel.frames(sound.samples.size()) * 4, "all frames");
    for (const float energy : energies) {
      fuzz::expect(std::isfinite(energy) && energy >= mel.silence(), "finite energies");
    }
  });
}
