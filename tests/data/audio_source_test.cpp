// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/fields.h>
#include <detente/core/file.h>
#include <detente/data/audio_source.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/rows_alone.h>
#include <tests/support/temp_dir.h>
#include <tests/support/write_sounds.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <numeric>

namespace detente::data {
namespace {

using test::error_of;
using test::pcm16;
using test::tone;
using test::wav_file;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class AudioSourceTest : public ::testing::Test {
 protected:
  using Options = std::vector<std::pair<std::string, std::string>>;
  static AudioSource with(const Options& options) {
    AudioSource source;
    for (const auto& [key, value] : options) {
      set_field([&](FieldVisitor& v) { source.describe(v); }, key, value, "test");
    }
    return source;
  }
  void write(const std::string& name, const std::string& bytes) {
    std::filesystem::create_directories((folder_.path() / name).parent_path());
    folder_.write(name, bytes);
  }
  std::string path(const std::string& name) const { return folder_.file(name); }
  SourceInput input(const std::string& train, std::vector<TargetColumn> targets = {}) const {
    SourceInput input;
    input.files.train = path(train);
    input.targets = std::move(targets);
    return input;
  }
  std::unique_ptr<Source> dev_of(const AudioSource& train,
                                 const std::string& file,
                                 std::vector<TargetColumn> targets = {}) const {
    SourceInput input;
    input.files.dev = path(file);
    input.part = Part::kDev;
    input.targets = std::move(targets);
    auto dev = train.fresh();
    dev->read(input, &train);
    return dev;
  }
  static std::vector<float> values(const Source& source, const Rng* augment = nullptr) {
    RowList rows(source.size());
    std::iota(rows.begin(), rows.end(), std::size_t{0});
    return std::get<std::vector<float>>(array_of(source.batch(rows, augment), "audio").values);
  }
  std::string message(AudioSource source, const SourceInput& input) const {
    return error_of([&] { source.read(input, nullptr); }).what();
  }
  // Two classes of two tones each, of 10 to 13 frames.
  void write_folder(const std::string& name) {
    for (int i = 0; i < 2; ++i) {
      const auto count = static_cast<std::size_t>(800 + 80 * i);
      write(name + "/low/" + std::to_string(i) + ".wav", wav_file(pcm16(tone(300, count))));
      write(name + "/\"high\": a/" + std::to_string(i) + ".WAV",
            wav_file(pcm16(tone(2500, count + 160))));
    }
  }

  const TargetColumn kLabel{
      .task = "label", .column = "label", .kind = TaskKind::kClasses, .classes = 2};
  test::TempDir folder_;
};

TEST_F(AudioSourceTest, ReadsFoldersOfClasses) {
  write_folder("t");
  AudioSource source;
  source.read(input("t", {kLabel}), nullptr);
  EXPECT_EQ(source.size(), 4U);
  EXPECT_EQ(source.rate(), 8000);
  EXPECT_EQ(source.frames(), 1U + 1040 / 80);
  EXPECT_THAT(source.classes().names(), ElementsAre("\"high\": a", "low"));
  EXPECT_THAT(source.target("label").values, ElementsAre(0, 1, 0, 1));
  EXPECT_THAT(array_of(source.batch(RowList{1, 3}, nullptr), "audio").shape,
              ElementsAre(2, 40, 14));
  EXPECT_EQ(source.shown().at(0).name, "audio");
  EXPECT_EQ(source.shown().at(0).cells.at(1), "low/0.wav");
}

TEST_F(AudioSourceTest, StandardisesEachBandOnTheTrainingFrames) {
  write_folder("t");
  AudioSource source;
  source.read(input("t"), nullptr);
  const std::size_t bands = source.bands();
  for (std::size_t m = 0; m < bands; ++m) {
    double sum = 0;
    double squares = 0;
    double count = 0;
    for (std::size_t row = 0; row < source.size(); ++row) {
      for (std::size_t i = m; i < source.energies(row).size(); i += bands) {
        const double x = (source.energies(row)[i] - source.means()[m]) / source.deviations()[m];
        sum += x;
        squares += x * x;
        ++count;
      }
    }
    EXPECT_NEAR(sum / count, 0, 1e-6);
    EXPECT_NEAR(squares / count, 1, 1e-6);
  }
  write("quiet.csv", "audio\nt/low/0.wav\n");
  const auto dev = dev_of(source, "quiet.csv");
  EXPECT_EQ(dynamic_cast<const AudioSource&>(*dev).means(), source.means());
}

TEST_F(AudioSourceTest, CutsAboutTheMiddleAndFillsWithSilence) {
  write("long.csv", "audio\nlong.wav\nshort.wav\n");
  write("long.wav", wav_file(pcm16(tone(440, 80 * 8))));        // 9 frames
  write("short.wav", wav_file(pcm16(tone(440, 80 * 2 + 10))));  // 3 frames
  AudioSource source = with({{"frames", "5"}});
  source.read(input("long.csv"), nullptr);
  const std::vector<float> got = values(source);
  const auto standard = [&](double energy, std::size_t m) {
    return static_cast<float>((energy - source.means()[m]) / source.deviations()[m]);
  };
  for (std::size_t m = 0; m < 40; ++m) {
    for (std::size_t t = 0; t < 5; ++t) {
      EXPECT_EQ(got[m * 5 + t], standard(source.energies(0)[(t + 2) * 40 + m], m));
      const bool sound = t >= 1 && t <= 3;
      EXPECT_EQ(got[200 + m * 5 + t],
                standard(sound ? source.energies(1)[(t - 1) * 40 + m]
                               : static_cast<float>(std::log(1e-8)),
                         m));
    }
  }
}

TEST_F(AudioSourceTest, AnIndexOfOneFileIsTheSameAsItsRecordings) {
  const std::vector<std::vector<int>> sounds = {tone(300, 900), tone(500, 500), tone(2000, 700)};
  std::string stream = pcm16({7, 7, 7});
  std::string index = "from,many,digit\n";
  std::string list = "audio,digit\n";
  for (std::size_t i = 0; i < sounds.size(); ++i) {
    index += std::to_string(stream.size() / 2) + "," + std::to_string(sounds[i].size()) + "," +
             std::to_string(i) + "\n";
    stream += pcm16(sounds[i]);
    write(std::to_string(i) + ".wav", wav_file(pcm16(sounds[i])));
    list += std::to_string(i) + ".wav," + std::to_string(i) + "\n";
  }
  write("all.bin", stream);
  write("index.csv", index);
  write("list.csv", list);
  const TargetColumn digit{
      .task = "digit", .column = "digit", .kind = TaskKind::kClasses, .classes = 3};
  const Options pcm = {{"pcm", path("all.bin")}, {"offset", "from"}, {"length", "many"}};
  Options options = pcm;
  options.emplace_back("rate", "8000");
  AudioSource indexed = with(options);
  indexed.read(input("index.csv", {digit}), nullptr);
  AudioSource listed;
  listed.read(input("list.csv", {digit}), nullptr);
  for (std::size_t i = 0; i < listed.size(); ++i) {
    EXPECT_EQ(indexed.sound(i)->samples, listed.sound(i)->samples);
    EXPECT_EQ(indexed.sound(i)->rate, listed.sound(i)->rate);
  }
  EXPECT_EQ(indexed.digest(), listed.digest());
  EXPECT_THAT(indexed.named_inputs(), ElementsAre("from", "many"));
  EXPECT_EQ(indexed.named_files().back(), path("all.bin"));
  // Other rows of the same file, without targets.
  write("new.csv", "many,from\n900,3\n");
  const std::vector<float> all = values(indexed);
  EXPECT_EQ(values(*dev_of(indexed, "new.csv")),
            std::vector<float>(all.begin(), all.begin() + 40 * 12));

  EXPECT_THAT(message(with(pcm), input("index.csv")), HasSubstr("'data.rate' is missing"));
  write("bad.csv", "from,many\n0,3\n1400,704\n");
  EXPECT_THAT(message(with(options), input("bad.csv")),
              AllOf(HasSubstr("line 3"), HasSubstr("704 samples from 1400"), HasSubstr("2103")));
  write("bad.csv", "from,many\n-1,3\n");
  EXPECT_THAT(message(with(options), input("bad.csv")),
              AllOf(HasSubstr("line 2, column 'from'"), HasSubstr("'-1'")));
  write("bad.csv", "from,many\n18446744073709551615,2\n");
  EXPECT_THAT(message(with(options), input("bad.csv")), HasSubstr("line 2"));
  write("bad.csv", "from,many\n0,0\n");
  EXPECT_THAT(message(with(options), input("bad.csv")), HasSubstr("without a sample"));
  write("all.bin", "abc");
  EXPECT_THAT(message(with(options), input("index.csv")), HasSubstr("3 bytes) is damaged"));
  write("all.bin", wav_file("ab"));
  EXPECT_THAT(message(with(options), input("index.csv")), HasSubstr("is a WAV file"));
  EXPECT_THAT(message(with(options), input(".")), HasSubstr("is a folder"));
}

TEST_F(AudioSourceTest, ReloadIsExact) {
  write_folder("t");
  AudioSource train = with({{"mel.mels", "12"}});
  train.read(input("t"), nullptr);
  train.save(folder_.path());
  AudioSource loaded = with({{"mel.mels", "12"}});
  loaded.load(folder_.path());
  EXPECT_EQ(loaded.rate(), train.rate());
  EXPECT_EQ(loaded.frames(), train.frames());
  EXPECT_EQ(loaded.means(), train.means());
  EXPECT_EQ(loaded.deviations(), train.deviations());
  EXPECT_EQ(values(*dev_of(train, "t")), values(*dev_of(loaded, "t")));
  AudioSource others;
  others.load(folder_.path());
  EXPECT_THAT(error_of([&] { dev_of(others, "t"); }).what(), HasSubstr("40 bands are asked for"));
  const std::string whole = read_file(folder_.path() / "audio.json");
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = whole;
    return text.replace(text.find(from), from.size(), to);
  };
  for (const std::string& bad : {std::string(),
                                 std::string("{}"),
                                 std::string("[1]"),
                                 whole.substr(0, whole.size() / 2),
                                 changed("8000", "0"),
                                 changed("8000", "-8000"),
                                 changed("\"frames\": 14", "\"frames\": 1e9"),
                                 changed("\"means\": [", "\"means\": [\"a\","),
                                 changed("\"deviations\": [", "\"deviations\": [0.0,")}) {
    folder_.write("audio.json", bad);
    EXPECT_THAT(error_of([&] { loaded.load(folder_.path()); }).what(),
                AllOf(HasSubstr("audio.json"), HasSubstr("damaged")))
        << bad;
  }
}

TEST_F(AudioSourceTest, AugmentsTrainingBatchesAlone) {
  write_folder("t");
  AudioSource plain;
  plain.read(input("t"), nullptr);
  const Rng rng(1);
  const std::vector<float> as_is = values(plain);
  EXPECT_EQ(values(plain, &rng), as_is);

  AudioSource moved = with({{"augment.shift", "3"}});
  moved.read(input("t"), nullptr);
  EXPECT_EQ(values(moved), as_is);
  const Rng other(2);
  const std::vector<float> once = values(moved, &other);
  EXPECT_NE(once, as_is);
  EXPECT_EQ(values(moved, &other), once);

  AudioSource masked = with({{"augment.time_masks", "1"},
                             {"augment.time_width", "99"},
                             {"augment.mel_masks", "1"},
                             {"augment.mel_width", "0"}});
  masked.read(input("t"), nullptr);
  const std::vector<float> some = values(masked, &rng);
  // A column of the batch is as it was, or all mean.
  std::size_t zeros = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    for (std::size_t t = 0; t < 14; ++t) {
      const std::size_t at = i * 40 * 14 + t;
      const bool zero = some[at] == 0 && as_is[at] != 0;
      zeros += zero ? 1 : 0;
      for (std::size_t m = 0; m < 40; ++m) {
        EXPECT_EQ(some[at + m * 14], zero ? 0.0F : as_is[at + m * 14]);
      }
    }
  }
  EXPECT_GT(zeros, 0U);
}

TEST_F(AudioSourceTest, ARowChangesAlikeInAnyBatch) {
  write_folder("t");
  AudioSource source =
      with({{"augment.shift", "3"}, {"augment.time_masks", "1"}, {"augment.mel_masks", "1"}});
  source.read(input("t"), nullptr);
  test::expect_rows_draw_alone(source, {2, 3, 0}, Rng(2));
}

TEST_F(AudioSourceTest, NamesTheRecordingThatIsWrong) {
  write_folder("t");
  write("t/low/2.wav", wav_file(pcm16(tone(300, 800)), {.rate = 16000}));
  EXPECT_THAT(message({}, input("t")),
              AllOf(HasSubstr("t/low/2.wav"),
                    HasSubstr("16000 samples a second; expected 8000"),
                    HasSubstr("first training recording")));
  EXPECT_THAT(message(with({{"rate", "11025"}}), input("t")), HasSubstr("data.rate says"));
  write("t/low/2.wav", wav_file(""));
  EXPECT_THAT(message({}, input("t")),
              AllOf(HasSubstr("t/low/2.wav"), HasSubstr("without a sample")));
  write("t/low/2.wav", wav_file(pcm16(tone(300, 800))).substr(0, 200));
  EXPECT_THAT(message({}, input("t")), AllOf(HasSubstr("t/low/2.wav"), HasSubstr("cut short")));
  write("list.csv", "audio\nt/low/0.wav\nt/low/2.wav\n");
  EXPECT_THAT(message({}, input("list.csv")), HasSubstr("named in line 3 of"));
  write("list.csv", "audio\nt/low/0.wav\nt/low/none.wav\n");
  EXPECT_THAT(message({}, input("list.csv")),
              AllOf(HasSubstr("none.wav"), HasSubstr("named in line 3 of")));
  write("list.csv", "audio\nt/low/0.wav\n  \n");
  EXPECT_THAT(message({}, input("list.csv")), HasSubstr("names no audio"));
  write("list.csv", "sound\nt/low/0.wav\n");
  EXPECT_THAT(message({}, input("list.csv")), HasSubstr("'audio'"));
}

TEST_F(AudioSourceTest, NamesTheFolderThatIsWrong) {
  std::filesystem::create_directories(folder_.path() / "empty");
  EXPECT_THAT(message({}, input("empty")), HasSubstr("holds no audio; expected .wav files"));
  write("t/low/readme.txt", "x");
  EXPECT_THAT(message({}, input("t")), HasSubstr("the class folder"));
  write("flat/a.wav", wav_file(pcm16({1})));
  EXPECT_THAT(message({}, input("flat")), HasSubstr("holds audio files but no folders"));
  EXPECT_THAT(message({}, input("flat/a.wav")), HasSubstr("a single recording is no data set"));
  EXPECT_THAT(message({}, input("nowhere")), HasSubstr("nor a folder that is there"));
  write("pair/a/x.wav", wav_file(pcm16({1})));
  write("pair/b/x.wav", wav_file(pcm16({1})));
  AudioSource train;
  train.read(input("pair"), nullptr);
  EXPECT_EQ(dev_of(train, "flat")->size(), 1U);  // prediction
  write("more/c/x.wav", wav_file(pcm16({1})));
  EXPECT_THAT(error_of([&] { dev_of(train, "more", {kLabel}); }).what(),
              HasSubstr("is a folder of a class that"));
}

TEST_F(AudioSourceTest, SilentRecordingsAreAWarning) {
  write("list.csv", "audio\na.wav\na.wav\n");
  write("a.wav", wav_file(pcm16({0, 0, 0})));
  AudioSource source;
  source.read(input("list.csv"), nullptr);
  EXPECT_THAT(source.warnings(), ElementsAre(HasSubstr("40 of 40 bands never change")));
  EXPECT_THAT(source.deviations(), Each(1.0));
  EXPECT_THAT(values(source), Each(0.0F));
}

TEST_F(AudioSourceTest, RefusesWhatTakesTooMuchMemory) {
  write("list.csv", "audio\na.wav\n");
  write("a.wav", wav_file(std::string(2 * 80 * 7000, '\0')));
  EXPECT_THAT(message(with({{"memory", "1"}}), input("list.csv")),
              AllOf(HasSubstr("more than 1 MiB"), HasSubstr("data.memory")));
}

TEST_F(AudioSourceTest, ChecksItsOptions) {
  EXPECT_THAT(message(with({{"audio", ""}}), input("t")), HasSubstr("'data.audio' is empty"));
  EXPECT_THAT(message(with({{"pcm", "x"}, {"rate", "8000"}, {"length", ""}}), input("t")),
              HasSubstr("'data.length' is empty"));
}

}  // namespace
}  // namespace detente::data
