// SPDX-License-Identifier: Apache-2.0
// Recordings (data/sound_rows.h) as log-mel energies (data/log_mel.h) of one length, in memory with
// four bytes a number. Fitted: the rate of the samples, the number of frames, mean and deviation of
// each band over the frames of the training recordings, the classes' names.
//
// Array of a batch: "audio" [B, bands, frames] float, (energy − mean) / deviation. A recording with
// more frames is cut about its middle, one with fewer has silence at both ends.
#pragma once

#include <detente/data/log_mel.h>
#include <detente/data/sound_augmentation.h>
#include <detente/data/sound_rows.h>
#include <detente/data/source.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace detente::data {

class AudioSource final : public Source {
 public:
  const char* kind() const override { return "audio"; }
  void describe(FieldVisitor& data) override;
  void resolve_paths(const std::filesystem::path& folder) override;
  std::vector<std::string> named_inputs() const override;
  std::vector<std::string> named_files() const override { return {class_file_, pcm_.file}; }
  bool takes_sources() const override { return true; }
  std::unique_ptr<Source> fresh() const override;

  std::size_t size() const override { return costs_.size(); }
  std::span<const std::size_t> costs() const override { return costs_; }
  Batch batch(std::span<const std::size_t> rows, const Rng* augment) const override;
  void save(const std::filesystem::path& run) const override;  // audio.json
  void load(const std::filesystem::path& run) override;
  // The list's columns; of others the recording's file, and the label where it was read.
  std::vector<ShownColumn> shown() const override;
  std::vector<std::string> class_names(std::string_view column) const override {
    return is_label(column) ? fit_.classes.names() : std::vector<std::string>();
  }

  // Rules between options; throws kInvalidArgument.
  void check_options() const;
  // Of an example as a network sees it.
  std::size_t bands() const { return fit_.means.size(); }
  std::size_t frames() const { return fit_.frames; }
  std::int64_t rate() const { return fit_.rate; }
  // Per band, of the training recordings.
  const std::vector<double>& means() const { return fit_.means; }
  const std::vector<double>& deviations() const { return fit_.deviations; }
  const ClassTable& classes() const { return fit_.classes; }
  std::optional<Sound> sound(std::size_t row) const override;
  // All frames of a recording, frame by frame, before standardisation.
  std::span<const float> energies(std::size_t row) const;

 protected:
  void read_rows(const SourceInput& input, const Source* fitted) override;

 private:
  struct Fit {
    std::int64_t rate = 0;
    std::size_t frames = 0;
    std::vector<double> means;
    std::vector<double> deviations;
    ClassTable classes;
  };

  void read_energies(const SoundRows& rows, const RowList& chosen, int threads, bool training);
  void fit_scale();

  std::string column_ = "audio";
  std::string class_file_;
  PcmIndex pcm_;
  std::int64_t rate_ = 0;
  std::int64_t frames_ = 0;
  std::int64_t memory_ = 4096;  // MiB
  LogMelOptions mel_;
  SoundAugmentation augmentation_;

  Fit fit_;
  std::vector<std::vector<float>> energies_;  // of each example: its frames x bands
  float silence_ = 0;
  std::vector<std::size_t> costs_;  // all 1
  std::optional<Table> table_;
  std::vector<Recording> recordings_;  // of each example
};

}  // namespace detente::data
