// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/data/log_mel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>

#include <cmath>

namespace detente::data {
namespace {

using test::error_of;
using ::testing::Each;
using ::testing::HasSubstr;

// Whole numbers over 32768, the same in every program.
std::vector<float> made_up_sound() {
  std::vector<float> samples;
  for (int i = 0; i < 1000; ++i) {
    samples.push_back(static_cast<float>(((i * i * 7 + i * 31) % 2001 - 1000) / 32768.0));
  }
  return samples;
}

// By librosa 0.11.0:
//   i = np.arange(1000); x = ((i*i*7 + i*31) % 2001 - 1000) / 32768.0
//   S = np.abs(librosa.stft(x, n_fft=n, win_length=win, hop_length=hop, center=True,
//                           pad_mode="constant", dtype=np.complex128))**2
//   F = librosa.filters.mel(sr=rate, n_fft=n, n_mels=mels, fmin=fmin, fmax=fmax, htk=False,
//                           norm="slaney", dtype=np.float64)
//   np.log(np.maximum(F @ S, 1e-8))[:, t]
struct LibrosaColumn {
  std::size_t frame;
  std::vector<double> energies;
};

void expect_columns(const LogMel& mel, const std::vector<LibrosaColumn>& columns) {
  const std::vector<float> energies = mel(made_up_sound());
  EXPECT_EQ(energies.size(), mel.frames(1000) * mel.bands());
  for (const LibrosaColumn& column : columns) {
    for (std::size_t m = 0; m < mel.bands(); ++m) {
      EXPECT_NEAR(energies[column.frame * mel.bands() + m], column.energies[m], 2e-6)
          << "frame " << column.frame << " band " << m;
    }
  }
}

TEST(LogMel, AgreesWithLibrosaAt8Khz) {
  // n = 256, win = 200, hop = 80, fmin = 0, fmax = None
  const LogMel mel({.mels = 8}, 8000);
  EXPECT_EQ(mel.frames(1000), 13U);
  EXPECT_EQ(mel.transform(), 256U);
  expect_columns(
      mel,
      {{0,
        {-7.051187, -7.131894, -8.424301, -7.345117, -7.776700, -7.951693, -7.848624, -8.499717}},
       {5,
        {-8.055219, -7.369602, -7.186567, -6.896797, -7.275555, -7.185709, -7.213710, -7.309263}},
       {12,
        {-7.130311, -7.450293, -7.347003, -7.451718, -7.482840, -7.094445, -7.317194, -7.266845}}});
}

TEST(LogMel, AgreesWithLibrosaAt16KhzOverPartOfTheBand) {
  // n = 512, win = 400, hop = 160
  const LogMel mel({.mels = 5, .fmin = 125, .fmax = 7600}, 16000);
  expect_columns(mel,
                 {{0, {-6.940795, -7.035280, -7.397672, -7.255293, -7.149991}},
                  {3, {-7.656167, -6.996260, -6.288621, -6.541661, -6.530536}},
                  {6, {-6.609501, -6.939870, -6.769500, -6.832588, -6.826477}}});
}

TEST(LogMel, SilenceIsTheFloor) {
  const LogMel mel({.mels = 3, .floor = 1e-4}, 8000);
  EXPECT_FLOAT_EQ(mel.silence(), static_cast<float>(std::log(1e-4)));
  EXPECT_THAT(mel(std::vector<float>(500)), Each(mel.silence()));
  EXPECT_EQ(mel(std::vector<float>(1)).size(), 3U);
}

TEST(LogMel, TwiceTheAmplitudeIsFourTimesTheEnergy) {
  const LogMel mel({}, 8000);
  std::vector<float> sound = made_up_sound();
  const std::vector<float> once = mel(sound);
  for (float& sample : sound) sample *= 2;
  const std::vector<float> twice = mel(sound);
  for (std::size_t i = 0; i < once.size(); ++i) {
    EXPECT_NEAR(twice[i] - once[i], std::log(4.0), 1e-5);
  }
}

TEST(LogMel, LaterSoundIsLaterFrames) {
  const LogMel mel({}, 8000);
  const std::vector<float> sound = made_up_sound();
  std::vector<float> later(160);  // two hops
  later.insert(later.end(), sound.begin(), sound.end());
  const std::vector<float> a = mel(sound);
  const std::vector<float> b = mel(later);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i], b[i + 2 * mel.bands()]);
}

TEST(LogMel, HugeSamplesStayFinite) {
  const LogMel mel({}, 8000);
  for (const float energy : mel(std::vector<float>(1000, 1e38F)))
    EXPECT_TRUE(std::isfinite(energy));
}

TEST(LogMel, OptionsHaveToFitTheRate) {
  const auto message = [](const LogMelOptions& options, std::int64_t rate) {
    const Error error = error_of([&] { LogMel mel(options, rate); });
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return std::string(error.what());
  };
  EXPECT_THAT(message({.window = 0.01}, 8000), HasSubstr("'data.mel.window'"));
  EXPECT_THAT(message({.hop = 0.01}, 8000), HasSubstr("'data.mel.hop'"));
  EXPECT_THAT(message({.fft = 128}, 8000), HasSubstr("of at least 200"));
  EXPECT_THAT(message({.fft = 300}, 8000), HasSubstr("a power of two"));
  EXPECT_THAT(message({.fmax = 4001}, 8000), HasSubstr("half the rate"));
  EXPECT_THAT(message({.fmin = 300, .fmax = 200}, 8000), HasSubstr("from 300 to 200 Hz"));
  EXPECT_THAT(message({.mels = 200}, 8000), HasSubstr("holds none of the transform's"));
}

}  // namespace
}  // namespace detente::data
