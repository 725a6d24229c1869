// SPDX-License-Identifier: Apache-2.0
// Made-up recordings, and WAV files written by hand.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <string>
#include <vector>

namespace detente::test {

inline std::string little_endian(std::uint64_t value, std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i) text += static_cast<char>((value >> (8 * i)) & 0xffU);
  return text;
}

struct WavForm {
  std::uint32_t rate = 8000;
  std::uint32_t channels = 1;
  std::uint32_t bits = 16;
  std::uint32_t format = 1;
  bool extensible = false;
  std::string before_sound;  // chunks
};

inline std::string wav_chunk(const std::string& name, const std::string& content) {
  return name + little_endian(content.size(), 4) + content + std::string(content.size() % 2, '\0');
}

inline std::string wav_header(const WavForm& form) {
  const std::uint32_t frame = form.channels * form.bits / 8;
  std::string header = little_endian(form.extensible ? 0xfffe : form.format, 2) +
                       little_endian(form.channels, 2) + little_endian(form.rate, 4) +
                       little_endian(form.rate * frame, 4) + little_endian(frame, 2) +
                       little_endian(form.bits, 2);
  if (form.extensible) {
    header += little_endian(22, 2) + little_endian(form.bits, 2) + little_endian(0, 4) +
              little_endian(form.format, 2) +
              std::string("\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71", 14);
  }
  return header;
}

// `sound`: the bytes of the samples.
inline std::string wav_file(const std::string& sound, const WavForm& form = {}) {
  const std::string chunks =
      wav_chunk("fmt ", wav_header(form)) + form.before_sound + wav_chunk("data", sound);
  return "RIFF" + little_endian(4 + chunks.size(), 4) + "WAVE" + chunks;
}

inline std::string pcm16(const std::vector<int>& samples) {
  std::string bytes;
  for (const int sample : samples) {
    bytes += little_endian(static_cast<std::uint64_t>(static_cast<std::int64_t>(sample)), 2);
  }
  return bytes;
}

// A tone of an eighth of full scale.
inline std::vector<int> tone(double hertz, std::size_t count, double rate = 8000) {
  std::vector<int> samples;
  for (std::size_t i = 0; i < count; ++i) {
    const double turn = 2 * std::numbers::pi * hertz * static_cast<double>(i) / rate;
    samples.push_back(static_cast<int>(std::lround(4096 * std::sin(turn))));
  }
  return samples;
}

}  // namespace detente::test
