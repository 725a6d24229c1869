// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/sound.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>

namespace detente::data {
namespace {

constexpr std::size_t kChunkHeader = 8;
constexpr std::size_t kMostChannels = 1024;
constexpr std::uint32_t kUnknownSize = 0xffffffffU;  // of a file written to a pipe: to its end

enum WaveFormat : std::uint32_t {
  kWavePcm = 1,
  kWaveFloat = 3,
  kWaveExtensible = 0xfffe,
};

std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    value = (value << 8U) | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

std::uint32_t number_at(std::string_view bytes, std::size_t begin, std::size_t size) {
  return static_cast<std::uint32_t>(little_endian(bytes.substr(begin, size)));
}

const char* sound_format(std::string_view bytes) {
  if (bytes.starts_with("fLaC")) return "FLAC";
  if (bytes.starts_with("OggS")) return "Ogg (Vorbis or Opus)";
  if (bytes.starts_with("ID3") || bytes.starts_with("\xff\xfb") || bytes.starts_with("\xff\xf3")) {
    return "MP3";
  }
  if (bytes.starts_with("FORM")) return "AIFF";
  if (bytes.starts_with("RIFX")) return "WAV with its bytes the other way round (RIFX)";
  if (bytes.starts_with("RF64") || bytes.starts_with("BW64")) return "WAV of 64 bits (RF64)";
  if (bytes.starts_with(".snd")) return "AU";
  if (bytes.substr(0, 8).ends_with("ftyp")) return "MP4 (AAC)";
  return nullptr;
}

const char* wave_format_name(std::uint32_t format) {
  switch (format) {
    case 2:
    case 0x11:
      return " (ADPCM)";
    case 6:
      return " (A-law)";
    case 7:
      return " (mu-law)";
    case 0x31:
      return " (GSM)";
    case 0x55:
      return " (MP3)";
    default:
      return "";
  }
}

[[noreturn]] void fail_wav(const std::string& source, const std::string& reason) {
  fail(ErrorCode::kData,
       "[data::read_sound] '{}' is damaged or cut short: {}. Fetch it again or leave it out.",
       source,
       reason);
}

struct WaveLayout {
  std::uint32_t format = 0;
  std::size_t channels = 0;
  std::int64_t rate = 0;
  std::size_t bytes = 0;  // of a number
};

WaveLayout read_layout(std::string_view chunk, const std::string& source) {
  if (chunk.size() < 16) fail_wav(source, "its header has fewer than 16 bytes");
  std::uint32_t format = number_at(chunk, 0, 2);
  const std::uint32_t channels = number_at(chunk, 2, 2);
  const std::uint32_t rate = number_at(chunk, 4, 4);
  const std::uint32_t frame = number_at(chunk, 12, 2);
  const std::uint32_t bits = number_at(chunk, 14, 2);
  if (format == kWaveExtensible) {
    // The format is the head of a GUID whose tail all of these share.
    constexpr std::string_view kTail("\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71",
                                     14);
    if (chunk.size() < 40) fail_wav(source, "its extensible header has fewer than 40 bytes");
    const bool known = chunk.substr(26, kTail.size()) == kTail;
    format = known ? number_at(chunk, 24, 2) : static_cast<std::uint32_t>(kWaveExtensible);
  }
  const bool pcm = format == kWavePcm && (bits == 8 || bits == 16 || bits == 24 || bits == 32);
  const bool real = format == kWaveFloat && (bits == 32 || bits == 64);
  DETENTE_CHECK(
      pcm || real,
      ErrorCode::kData,
      "[data::read_sound] '{}' holds {} bits of WAV format {}{}; expected PCM of 8, 16, 24 "
      "or 32 bits or floating point of 32 or 64. Convert it (ffmpeg -i IN -c:a pcm_s16le "
      "OUT.wav).",
      source,
      bits,
      format,
      wave_format_name(format));
  if (channels == 0 || channels > kMostChannels) {
    fail_wav(source, fmt::format("it says it has {} channels", channels));
  }
  if (rate == 0 || rate > kHighestRate) {
    fail_wav(source, fmt::format("it says it has {} samples a second", rate));
  }
  if (frame != channels * bits / 8) {
    fail_wav(source,
             fmt::format("{} channels of {} bits are {} bytes, but it says {}",
                         channels,
                         bits,
                         channels * bits / 8,
                         frame));
  }
  return {format, channels, static_cast<std::int64_t>(rate), bits / 8};
}

double decoded(std::string_view number, std::uint32_t format) {
  const std::uint64_t raw = little_endian(number);
  if (format == kWaveFloat) {
    return number.size() == 4
               ? static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(raw)))
               : std::bit_cast<double>(raw);
  }
  if (number.size() == 1) return (static_cast<double>(raw) - 128) / 128;
  // To the top of the word, so that the sign is in its place.
  const auto unused = static_cast<unsigned>(64 - 8 * number.size());
  return std::ldexp(static_cast<double>(static_cast<std::int64_t>(raw << unused)), -63);
}

Sound decode_samples(std::string_view data, const WaveLayout& layout, const std::string& source) {
  const std::size_t frame = layout.channels * layout.bytes;
  if (data.size() % frame != 0) {
    fail_wav(source, fmt::format("its {} bytes of sound end within a sample", data.size()));
  }
  DETENTE_CHECK(!data.empty(),
                ErrorCode::kData,
                "[data::read_sound] '{}' is a recording without a sample. Leave it out.",
                source);
  Sound sound{layout.rate, {}};
  sound.samples.reserve(data.size() / frame);
  for (std::size_t at = 0; at < data.size(); at += frame) {
    double sum = 0;
    for (std::size_t c = 0; c < layout.channels; ++c) {
      sum += decoded(data.substr(at + c * layout.bytes, layout.bytes), layout.format);
    }
    const auto sample = static_cast<float>(sum / static_cast<double>(layout.channels));
    DETENTE_CHECK(
        std::isfinite(sample),
        ErrorCode::kData,
        "[data::read_sound] sample {} (from 0) of '{}' is no finite number; expected -1 to "
        "1 at full scale. Mend the file or leave it out.",
        at / frame,
        source);
    sound.samples.push_back(sample);
  }
  return sound;
}

}  // namespace

Sound parse_wav(std::string_view bytes, const std::string& source) {
  if (!bytes.starts_with("RIFF") || !bytes.substr(0, 12).ends_with("WAVE") || bytes.size() < 12) {
    const char* format = sound_format(bytes);
    fail(ErrorCode::kData,
         "[data::read_sound] '{}' is {}; expected WAV.{}",
         source,
         format != nullptr ? format
         : bytes.empty()   ? "empty"
                           : "no recording (by its first bytes)",
         format != nullptr ? " Convert it (ffmpeg -i IN OUT.wav)."
                           : " Fetch it again or leave it out.");
  }
  std::optional<WaveLayout> layout;
  for (std::size_t at = 12; at + kChunkHeader <= bytes.size();) {
    const std::string_view name = bytes.substr(at, 4);
    const std::uint32_t said = number_at(bytes, at + 4, 4);
    at += kChunkHeader;
    const std::size_t left = bytes.size() - at;
    const bool sound = name == "data";
    const std::size_t size = sound && said == kUnknownSize ? left : said;
    if (size > left && (sound || name == "fmt ")) {
      fail_wav(source,
               fmt::format("it says that {} bytes of {} follow, and {} do",
                           size,
                           sound ? "sound" : "header",
                           left));
    }
    if (size > left) break;
    if (name == "fmt ") layout = read_layout(bytes.substr(at, size), source);
    if (sound) {
      if (!layout) fail_wav(source, "its sound comes before its header");
      return decode_samples(bytes.substr(at, size), *layout, source);
    }
    at += size + size % 2;
  }
  fail_wav(source, "it has no sound in it (no chunk called data)");
}

Sound read_sound(const std::filesystem::path& path) {
  return parse_wav(read_file(path), path.string());
}

bool has_sound_name(const std::filesystem::path& path) {
  const std::string ending = lower_ascii(path.extension().string());
  return ending == ".wav" || ending == ".wave";
}

std::vector<float> pcm16_samples(std::string_view bytes, std::size_t begin, std::size_t count) {
  DETENTE_DCHECK(begin <= bytes.size() / 2 && count <= bytes.size() / 2 - begin);
  std::vector<float> samples;
  samples.reserve(count);
  for (std::size_t i = begin; i < begin + count; ++i) {
    samples.push_back(static_cast<float>(decoded(bytes.substr(2 * i, 2), kWavePcm)));
  }
  return samples;
}

std::string wav_bytes(const Sound& sound, std::size_t most) {
  const std::size_t count = std::min(sound.samples.size(), most);
  const auto number = [](std::uint64_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xffU);
    return text;
  };
  const auto rate = static_cast<std::uint64_t>(sound.rate);
  std::string out = "RIFF" + number(36 + 2 * count, 4) + "WAVEfmt " + number(16, 4) + number(1, 2) +
                    number(1, 2) + number(rate, 4) + number(2 * rate, 4) + number(2, 2) +
                    number(16, 2) + "data" + number(2 * count, 4);
  for (std::size_t i = 0; i < count; ++i) {
    const float sample = std::clamp(sound.samples[i], -1.0F, 1.0F);
    const auto whole = static_cast<std::int16_t>(std::lround(32767 * sample));
    out += number(static_cast<std::uint16_t>(whole), 2);
  }
  return out;
}

Sound read_recording(const Recording& recording) {
  if (recording.rate == 0) return read_sound(recording.file);
  const std::string bytes = read_file(recording.file);
  const std::size_t samples = bytes.size() / 2;
  DETENTE_CHECK(
      recording.begin <= samples && recording.count <= samples - recording.begin,
      ErrorCode::kData,
      "[data::read_recording] '{}' has {} samples; expected {} from {} on, as when it was "
      "read. It has changed since.",
      recording.file.string(),
      samples,
      recording.count,
      recording.begin);
  return {recording.rate, pcm16_samples(bytes, recording.begin, recording.count)};
}

}  // namespace detente::data
