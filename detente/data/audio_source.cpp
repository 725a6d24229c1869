// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/data/audio_source.h>
#include <detente/data/parallel_rows.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <optional>
#include <utility>

namespace detente::data {
namespace {

constexpr const char* kAudioFormat = "detente-audio-1";
constexpr double kMostFrames = 1e6;
constexpr double kMostBands = 4096;
constexpr std::size_t kBytesPerMib = std::size_t{1} << 20U;

std::filesystem::path audio_file(const std::filesystem::path& run) { return run / "audio.json"; }

}  // namespace

void AudioSource::describe(FieldVisitor& data) {
  data.text("audio",
            column_,
            "Recordings: the column of WAV files of a list, relative to the list's folder.");
  data.file("class_file", class_file_, "Folders of recordings: the classes by id, as for images.");
  data.file("pcm",
            pcm_.file,
            "Recordings in one file of 16-bit little-endian numbers, one channel, gzip or not; the "
            "table names their places in it. Empty: they are WAV files.");
  data.text("offset", pcm_.offset, "With pcm: the column of the first sample, from 0.");
  data.text("length", pcm_.length, "With pcm: the column of the number of samples.");
  data.integer("rate",
               rate_,
               {.min = 0, .max = static_cast<double>(kHighestRate)},
               "Samples a second; recordings of another rate are an error. 0: those of the first "
               "training recording; with pcm it has to be said.");
  data.integer(
      "frames",
      frames_,
      {.min = 0, .max = kMostFrames},
      "Frames of every example: longer recordings are cut about their middle, shorter ones "
      "have silence at both ends. 0: as many as the longest training recording has.");
  data.integer("memory",
               memory_,
               {.min = 1, .max = 1e9},
               "MiB that the energies of a part may take, four bytes each; more is an error.");
  data.section("mel",
               "The energies: how loud each band of pitch is in each window of time.",
               [this](FieldVisitor& section) { mel_.describe(section); });
  data.section("augment", "Random changes of training recordings.", [this](FieldVisitor& section) {
    augmentation_.describe(section);
  });
}

void AudioSource::resolve_paths(const std::filesystem::path& folder) {
  for (std::string* file : {&class_file_, &pcm_.file}) {
    if (!file->empty()) *file = absolute_path(*file, folder);
  }
}

std::vector<std::string> AudioSource::named_inputs() const {
  if (pcm_.file.empty()) return {column_};
  return {pcm_.offset, pcm_.length};
}

std::unique_ptr<Source> AudioSource::fresh() const {
  auto source = std::make_unique<AudioSource>();
  source->column_ = column_;
  source->class_file_ = class_file_;
  source->pcm_ = pcm_;
  source->rate_ = rate_;
  source->frames_ = frames_;
  source->memory_ = memory_;
  source->mel_ = mel_;
  source->augmentation_ = augmentation_;
  return source;
}

void AudioSource::check_options() const {
  DETENTE_CHECK(!column_.empty(),
                ErrorCode::kInvalidArgument,
                "[data::AudioSource] 'data.audio' is empty; name the column of WAV files.");
  DETENTE_CHECK(pcm_.file.empty() || rate_ > 0,
                ErrorCode::kInvalidArgument,
                "[data::AudioSource] 'data.rate' is missing: '{}' does not say how many samples a "
                "second has. Set it, as 8000.",
                pcm_.file);
  DETENTE_CHECK(pcm_.file.empty() || (!pcm_.offset.empty() && !pcm_.length.empty()),
                ErrorCode::kInvalidArgument,
                "[data::AudioSource] 'data.offset' or 'data.length' is empty; name the columns of "
                "places and lengths.");
}

void AudioSource::read_rows(const SourceInput& input, const Source* fitted) {
  check_options();
  fit_ = fitted == nullptr ? Fit{} : dynamic_cast<const AudioSource&>(*fitted).fit_;
  if (fitted == nullptr) {
    fit_.rate = rate_;
    fit_.frames = static_cast<std::size_t>(frames_);
    if (!class_file_.empty()) fit_.classes = read_class_file(class_file_);
  }
  PcmIndex pcm = pcm_;
  pcm.rate = rate_;
  const bool labels = !input.files.picked && (fitted == nullptr || !input.targets.empty());
  const bool several = !input.files.sources.empty();
  DETENTE_CHECK(
      !several || pcm_.file.empty(),
      ErrorCode::kInvalidArgument,
      "[data::AudioSource] 'data.pcm' is one file of recordings; expected no 'data.sources' "
      "beside it.");
  const ImageListing listing{input.files.file(input.part),
                             input.files.format,
                             column_,
                             fit_.classes,
                             labels,
                             input.files.given.get()};
  const SoundRows rows =
      several ? SoundRows(input.files, input.part, listing) : SoundRows(listing, pcm);
  warnings_ = rows.rows().warnings;
  fit_.classes = rows.rows().classes;
  const RowList chosen = input.files.chosen_rows(input.part, rows.rows().table);
  table_ = rows.rows().table.select(chosen);
  take_places(*table_);
  costs_.assign(chosen.size(), 1);
  read_energies(rows, chosen, input.threads, fitted == nullptr);
  recordings_.clear();
  for (const std::size_t row : chosen) recordings_.push_back(rows.recording(row));
  if (fitted == nullptr) fit_scale();
  for (TargetColumn target : input.targets) {
    name_classes(target, fit_.classes);
    targets_.push_back(read_target(*table_, target, table_->rows(), warnings_));
  }
}

void AudioSource::read_energies(const SoundRows& rows,
                                const RowList& chosen,
                                int threads,
                                bool training) {
  Sound first = rows.read(chosen.front());
  if (training && fit_.rate == 0) fit_.rate = first.rate;
  const LogMel mel(mel_, fit_.rate);
  DETENTE_CHECK(training || mel.bands() == bands(),
                ErrorCode::kData,
                "[data::AudioSource] {} bands are asked for, and the training recordings were read "
                "with {}. Leave data.mel as it was.",
                mel.bands(),
                bands());
  silence_ = mel.silence();
  energies_.assign(chosen.size(), {});
  std::atomic<std::size_t> bytes = 0;
  for_each_row(chosen.size(), threads, [&](std::size_t i) {
    const Sound sound = i == 0 ? std::move(first) : rows.read(chosen[i]);
    DETENTE_CHECK(
        sound.rate == fit_.rate,
        ErrorCode::kData,
        "[data::AudioSource] {} has {} samples a second; expected {}, as {}. Bring all to "
        "one rate (ffmpeg -i IN -ar {} OUT.wav).",
        rows.name(chosen[i]),
        sound.rate,
        fit_.rate,
        rate_ > 0 ? "data.rate says" : "the first training recording has",
        fit_.rate);
    bytes += mel.frames(sound.samples.size()) * mel.bands() * sizeof(float);
    DETENTE_CHECK(
        bytes / kBytesPerMib < static_cast<std::size_t>(memory_),
        ErrorCode::kData,
        "[data::AudioSource] the energies of {} recordings of '{}' take more than {} MiB, "
        "which is what data.memory allows. Choose a longer data.mel.hop, fewer "
        "data.mel.mels or a smaller data.max_rows, or allow more.",
        chosen.size(),
        rows.rows().table.source(),
        memory_);
    energies_[i] = mel(sound.samples);
  });
  if (!training) return;
  fit_.means.assign(mel.bands(), 0);
  if (fit_.frames > 0) return;
  for (const auto& energies : energies_) {
    fit_.frames = std::max(fit_.frames, energies.size() / mel.bands());
  }
  DETENTE_CHECK(static_cast<double>(fit_.frames) <= kMostFrames,
                ErrorCode::kData,
                "[data::AudioSource] the longest recording of '{}' has {} frames; expected at most "
                "{}. Set data.frames, or a longer data.mel.hop.",
                rows.rows().table.source(),
                fit_.frames,
                number_text(kMostFrames));
}

void AudioSource::fit_scale() {
  const std::size_t bands = fit_.means.size();
  std::vector<double> squares(bands, 0);
  double count = 0;
  for (const auto& energies : energies_) {
    for (std::size_t i = 0; i < energies.size(); ++i) fit_.means[i % bands] += energies[i];
    count += static_cast<double>(energies.size() / bands);
  }
  for (double& mean : fit_.means) mean /= count;
  for (const auto& energies : energies_) {
    for (std::size_t i = 0; i < energies.size(); ++i) {
      const double distance = energies[i] - fit_.means[i % bands];
      squares[i % bands] += distance * distance;
    }
  }
  fit_.deviations.clear();
  std::size_t constant = 0;
  for (const double square : squares) {
    const double deviation = std::sqrt(square / count);
    // Rounding may leave a trace where all are equal.
    const bool same = deviation < 1e-6;
    constant += same ? 1 : 0;
    fit_.deviations.push_back(same ? 1.0 : deviation);
  }
  if (constant > 0) {
    warnings_.push_back(fmt::format(
        "{} of {} bands never change in the recordings of '{}'; there is nothing to hear in them.",
        constant,
        bands,
        table_->source()));
  }
}

std::span<const float> AudioSource::energies(std::size_t row) const {
  DETENTE_DCHECK(row < size());
  return energies_[row];
}

Batch AudioSource::batch(std::span<const std::size_t> rows, const Rng* augment) const {
  const std::size_t bands = this->bands();
  const auto frames = static_cast<std::int64_t>(fit_.frames);
  const std::size_t one = bands * fit_.frames;
  std::vector<float> values(rows.size() * one);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::vector<float>& from = energies_[rows[i]];
    const auto length = static_cast<std::int64_t>(from.size() / bands);
    // Where in the recording the example's first frame is; before 0 and from `length` on is silence.
    std::int64_t begin = length > frames ? (length - frames) / 2 : -((frames - length) / 2);
    std::optional<Rng> own;
    if (augment != nullptr) own = augment->fork(rows[i]);
    if (own) begin -= augmentation_.draw_shift(*own);
    const std::span<float> to(values.data() + i * one, one);
    for (std::size_t m = 0; m < bands; ++m) {
      for (std::int64_t t = 0; t < frames; ++t) {
        const std::int64_t at = begin + t;
        const bool inside = at >= 0 && at < length;
        const float energy = inside ? from[static_cast<std::size_t>(at) * bands + m] : silence_;
        to[m * fit_.frames + static_cast<std::size_t>(t)] =
            static_cast<float>((energy - fit_.means[m]) / fit_.deviations[m]);
      }
    }
    if (own) augmentation_.mask(to, bands, fit_.frames, *own);
  }
  Batch batch;
  batch.push_back({"audio", {rows.size(), bands, fit_.frames}, std::move(values)});
  return batch;
}

void AudioSource::save(const std::filesystem::path& run) const {
  const Json json{{"format", kAudioFormat},
                  {"rate", fit_.rate},
                  {"frames", fit_.frames},
                  {"means", fit_.means},
                  {"deviations", fit_.deviations},
                  {"classes", fit_.classes.to_json()}};
  write_own_file(audio_file(run), json.dump(1) + "\n");
}

void AudioSource::load(const std::filesystem::path& run) {
  const std::string path = audio_file(run).string();
  const Json json = Json::parse(read_file(path), nullptr, false);
  const auto whole = [&](const char* key, double most) -> std::size_t {
    if (!json.contains(key) || !json[key].is_number_unsigned()) return 0;
    const auto value = json[key].get<std::uint64_t>();
    return static_cast<double>(value) <= most ? static_cast<std::size_t>(value) : 0;
  };
  const auto numbers = [&](const char* key, double least) {
    std::vector<double> list;
    if (!json.contains(key) || !json[key].is_array()) return list;
    for (const Json& entry : json[key]) {
      const double value = entry.is_number() ? entry.get<double>() : std::nan("");
      if (!(std::abs(value) <= 1e300) || value < least) return std::vector<double>();
      list.push_back(value);
    }
    return list;
  };
  Fit fit;
  bool good =
      json.is_object() && json.value("format", Json()) == kAudioFormat && json.contains("classes");
  if (good) {
    fit.rate = static_cast<std::int64_t>(whole("rate", static_cast<double>(kHighestRate)));
    fit.frames = whole("frames", kMostFrames);
    fit.means = numbers("means", -1e300);
    fit.deviations = numbers("deviations", 1e-12);
    good = fit.rate > 0 && fit.frames > 0 && !fit.means.empty() &&
           static_cast<double>(fit.means.size()) <= kMostBands &&
           fit.means.size() == fit.deviations.size();
  }
  DETENTE_CHECK(good,
                ErrorCode::kData,
                "[data::AudioSource] '{}' is damaged or of another version; expected {} with rate, "
                "frames, means, deviations and classes.",
                path,
                kAudioFormat);
  fit.classes = ClassTable::from_json(json["classes"], path);
  fit_ = std::move(fit);
}

std::vector<ShownColumn> AudioSource::shown() const { return shown_columns(table_); }

std::optional<Sound> AudioSource::sound(std::size_t row) const {
  return read_recording(recordings_.at(row));
}

}  // namespace detente::data
