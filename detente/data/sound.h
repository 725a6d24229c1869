// SPDX-License-Identifier: Apache-2.0
// Recordings in memory, and the files they come from. What a file is, its first bytes say.
//
//   WAV  PCM of 8 (unsigned), 16, 24 and 32 bits, floating point of 32 and 64; any number of
//        channels; the plain and the extensible header. Compressed kinds (A-law, ADPCM, ...) are
//        refused.
//   PCM  16-bit little-endian numbers of one channel and nothing else, many recordings one after the
//        other
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace detente::data {

struct Sound {
  std::int64_t rate = 0;       // samples a second
  std::vector<float> samples;  // full scale is -1 to 1; the mean of the channels
};

inline constexpr std::int64_t kHighestRate = 10'000'000;

// A WAV file. Throws kData, naming `source`: another format (by its name), a damaged or cut file,
// no sample at all, one that is not a finite number (with its place).
Sound parse_wav(std::string_view bytes, const std::string& source);
// The same from a file, gzip or not; also throws kIo (missing, unreadable).
Sound read_sound(const std::filesystem::path& path);

// A WAV file of one channel and 16 bits with the first `most` samples; what lies beyond full scale is cut.
std::string wav_bytes(const Sound& sound, std::size_t most);

// By the ending: .wav or .wave in any case.
bool has_sound_name(const std::filesystem::path& path);

// Where a recording is, without its samples.
struct Recording {
  std::filesystem::path file;
  std::int64_t rate = 0;  // of numbers of 16 bits and nothing else; 0: a WAV file
  std::size_t begin = 0;  // of those, in samples
  std::size_t count = 0;
};
// Throws as read_sound; kData where the file is too short.
Sound read_recording(const Recording& recording);

// Numbers of 16 bits as samples: `count` from the `begin`-th on, both within the bytes.
std::vector<float> pcm16_samples(std::string_view bytes, std::size_t begin, std::size_t count);

}  // namespace detente::data
