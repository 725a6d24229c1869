// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/sound.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_sounds.h>

#include <bit>
#include <limits>

namespace detente::data {
namespace {

using test::error_of;
using test::little_endian;
using test::pcm16;
using test::wav_chunk;
using test::wav_file;
using test::wav_header;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string float_bytes(float value) {
  return little_endian(std::bit_cast<std::uint32_t>(value), 4);
}
std::string double_bytes(double value) {
  return little_endian(std::bit_cast<std::uint64_t>(value), 8);
}
std::string message(const std::string& bytes) {
  const Error error = error_of([&] { parse_wav(bytes, "a.wav"); });
  EXPECT_EQ(error.code(), ErrorCode::kData);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("[data::read_sound]"), HasSubstr("'a.wav'")));
  return error.what();
}

TEST(Wav, HasFullScaleAtOneWhateverTheNumbers) {
  // -1, -1/2, 0, 1/2 in every kind.
  const std::vector<std::pair<std::string, test::WavForm>> kinds = {
      {std::string("\x00\x40\x80\xc0", 4), {.bits = 8}},
      {pcm16({-32768, -16384, 0, 16384}), {.bits = 16}},
      {std::string("\x00\x00\x80\x00\x00\xc0\x00\x00\x00\x00\x00\x40", 12), {.bits = 24}},
      {little_endian(0x80000000U, 4) + little_endian(0xc0000000U, 4) + little_endian(0, 4) +
           little_endian(0x40000000U, 4),
       {.bits = 32}},
      {float_bytes(-1) + float_bytes(-0.5F) + float_bytes(0) + float_bytes(0.5F),
       {.bits = 32, .format = 3}},
      {double_bytes(-1) + double_bytes(-0.5) + double_bytes(0) + double_bytes(0.5),
       {.bits = 64, .format = 3}},
  };
  for (auto [bytes, form] : kinds) {
    for (const bool extensible : {false, true}) {
      form.extensible = extensible;
      const Sound sound = parse_wav(wav_file(bytes, form), "a.wav");
      EXPECT_EQ(sound.rate, 8000);
      EXPECT_THAT(sound.samples, ElementsAre(-1, -0.5F, 0, 0.5F)) << form.bits << form.format;
    }
  }
}

TEST(Wav, MixesChannelsToTheirMean) {
  const Sound sound = parse_wav(
      wav_file(pcm16({8192, 16384, -8192, 8192, 0, 0}), {.rate = 44100, .channels = 2}), "a.wav");
  EXPECT_EQ(sound.rate, 44100);
  EXPECT_THAT(sound.samples, ElementsAre(0.375F, 0, 0));
}

TEST(Wav, PassesByOtherChunksAndReadsPipesToTheirEnd) {
  // A chunk of an odd size is followed by a byte that belongs to none.
  const std::string bytes =
      wav_file(pcm16({16384}), {.before_sound = wav_chunk("LIST", "abc") + wav_chunk("fact", "")});
  EXPECT_THAT(parse_wav(bytes, "a.wav").samples, ElementsAre(0.5F));
  std::string piped = wav_file(pcm16({16384, 0}));
  piped.replace(piped.size() - 8, 4, little_endian(0xffffffffU, 4));
  EXPECT_THAT(parse_wav(piped, "a.wav").samples, ElementsAre(0.5F, 0));
}

TEST(Wav, SaysWhatIsWrong) {
  const std::string good = wav_file(pcm16({1, 2, 3}));
  EXPECT_THAT(message(""), HasSubstr("is empty"));
  EXPECT_THAT(message("hello"), HasSubstr("no recording"));
  EXPECT_THAT(message("hello"), HasSubstr("leave it out"));
  EXPECT_THAT(message("fLaC...."), AllOf(HasSubstr("is FLAC"), HasSubstr("ffmpeg")));
  EXPECT_THAT(message("OggS...."), HasSubstr("Ogg"));
  EXPECT_THAT(message("ID3....."), HasSubstr("MP3"));
  EXPECT_THAT(message("RF64...."), HasSubstr("RF64"));
  EXPECT_THAT(message(good.substr(0, good.size() - 1)),
              AllOf(HasSubstr("cut short"), HasSubstr("6 bytes of sound"), HasSubstr("5 do")));
  EXPECT_THAT(message(good.substr(0, 30)), HasSubstr("16 bytes of header"));
  EXPECT_THAT(message(good.substr(0, 36)), HasSubstr("no chunk called data"));
  EXPECT_THAT(message(wav_file("")), HasSubstr("without a sample"));
  EXPECT_THAT(message(wav_file("abc")), HasSubstr("end within a sample"));
  EXPECT_THAT(message(wav_file("a", {.bits = 8, .format = 6})), HasSubstr("A-law"));
  EXPECT_THAT(message(wav_file("ab", {.bits = 12})), HasSubstr("12 bits"));
  EXPECT_THAT(message(wav_file("ab", {.bits = 16, .format = 3})), HasSubstr("floating point"));
  EXPECT_THAT(message(wav_file("", {.channels = 0})), HasSubstr("0 channels"));
  EXPECT_THAT(message(wav_file("ab", {.rate = 0})), HasSubstr("0 samples a second"));
  std::string crooked = good;
  crooked[32] = 3;  // bytes of a frame
  EXPECT_THAT(message(crooked), HasSubstr("are 2 bytes, but it says 3"));
  EXPECT_THAT(message("RIFF....WAVE" + wav_chunk("data", "ab")), HasSubstr("before its header"));
  EXPECT_THAT(message("RIFF....WAVE" + wav_chunk("fmt ", "short")), HasSubstr("fewer than 16"));
  std::string guid = wav_file("ab", {.extensible = true});
  guid[50] ^= 1;
  EXPECT_THAT(message(guid), HasSubstr("format 65534"));
}

TEST(Wav, NamesTheSampleThatIsNoNumber) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    EXPECT_THAT(message(wav_file(float_bytes(0) + float_bytes(bad), {.bits = 32, .format = 3})),
                AllOf(HasSubstr("sample 1 (from 0)"), HasSubstr("no finite number")));
  }
  // Beyond what float32 holds.
  EXPECT_THAT(message(wav_file(double_bytes(1e300), {.bits = 64, .format = 3})),
              HasSubstr("sample 0"));
}

TEST(Wav, EveryCutIsAnErrorOrShorter) {
  const std::string good =
      wav_file(pcm16({1, 2, 3}), {.extensible = true, .before_sound = wav_chunk("LIST", "abcd")});
  for (std::size_t size = 0; size < good.size(); ++size) message(good.substr(0, size));
}

TEST(Wav, ReadsFilesAndNamesThem) {
  const test::TempDir folder;
  const std::string path = folder.write("a.wav", wav_file(pcm16({16384})));
  EXPECT_THAT(read_sound(path).samples, ElementsAre(0.5F));
  const Error missing = error_of([&] { read_sound(folder.file("no.wav")); });
  EXPECT_EQ(missing.code(), ErrorCode::kIo);
  EXPECT_THAT(missing.what(), HasSubstr("no.wav"));
  EXPECT_TRUE(has_sound_name("x/A.WAV"));
  EXPECT_TRUE(has_sound_name("a.wave"));
  EXPECT_FALSE(has_sound_name("wav"));
  EXPECT_FALSE(has_sound_name("a.wav.txt"));
}

TEST(Pcm16, TakesAPartOfTheStream) {
  EXPECT_THAT(pcm16_samples(pcm16({1, -32768, 16384, 5}), 1, 2), ElementsAre(-1, 0.5F));
  EXPECT_TRUE(pcm16_samples("", 0, 0).empty());
}

TEST(Sound, WrittenIsWhatIsRead) {
  const Sound sound{8000, {0.0F, 0.5F, -1.0F, 1.0F, -0.25F, 0.125F}};
  const Sound same = parse_wav(wav_bytes(sound, 100), "memory");
  EXPECT_EQ(same.rate, 8000);
  ASSERT_EQ(same.samples.size(), 6U);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_NEAR(same.samples[i], sound.samples[i], 1e-4);
  EXPECT_EQ(parse_wav(wav_bytes(sound, 2), "memory").samples.size(), 2U);
  const Sound loud{8000, {7.0F, -7.0F}};
  EXPECT_NEAR(parse_wav(wav_bytes(loud, 2), "memory").samples[0], 1, 1e-4);
}

}  // namespace
}  // namespace detente::data
