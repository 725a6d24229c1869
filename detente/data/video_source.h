// SPDX-License-Identifier: Apache-2.0
// Clips (data/clip.h) with as many frames of one size as a source, in memory with one byte a number:
// from a list, from a folder of them per class, or made of moving pictures (data/moving_images.h).
// Fitted: the size and number of channels, mean and deviation of each channel, the classes' names.
//
// Array of a batch: "clip" [B, channels, frames, height, width] float, (value − mean) / deviation. Of
// a clip with more frames those in the middle, in training with `augment.temporal` any that follow each
// other; one with fewer holds its last.
//
// With `moving` each image is `moving.clips` examples, the parts being split by images; a column
// "direction" says where it moves (Motion::direction).
#pragma once

#include <detente/data/augmentation.h>
#include <detente/data/clip.h>
#include <detente/data/image_fit.h>
#include <detente/data/image_rows.h>
#include <detente/data/moving_images.h>
#include <detente/data/source.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace detente::data {

// The clips of a list or of folders of them. Throws what list_files does, and kData for what is neither.
FileRows list_clips(const ImageListing& listing);

class VideoSource final : public Source {
 public:
  enum class Resize { kNone, kStretch, kCrop };

  const char* kind() const override { return "video"; }
  void describe(FieldVisitor& data) override;
  void resolve_paths(const std::filesystem::path& folder) override;
  std::vector<std::string> named_inputs() const override { return {column_}; }
  std::vector<std::string> named_files() const override { return {class_file_}; }
  std::unique_ptr<Source> fresh() const override;

  std::size_t size() const override { return costs_.size(); }
  std::span<const std::size_t> costs() const override { return costs_; }
  Batch batch(std::span<const std::size_t> rows, const Rng* augment) const override;
  void save(const std::filesystem::path& run) const override;  // video.json
  void load(const std::filesystem::path& run) override;
  // The list's columns; of others the clip's file or folder, and the label where it was read.
  std::vector<ShownColumn> shown() const override;
  std::vector<std::string> class_names(std::string_view column) const override {
    return is_label(column) ? fit_.classes.names() : std::vector<std::string>();
  }

  // Rules between options; throws kInvalidArgument.
  void check_options() const;
  // Whether an example is made of images.
  bool moves() const { return moving_.on(); }
  // Of a frame.
  const ImageShape& shape() const { return fit_.shape; }
  std::size_t frames() const { return static_cast<std::size_t>(frames_); }
  Image picture(std::size_t row) const override;
  // Per channel, of the training clips, in 0..255.
  const std::vector<double>& means() const { return fit_.means; }
  const std::vector<double>& deviations() const { return fit_.deviations; }

 protected:
  void read_rows(const SourceInput& input, const Source* fitted) override;

 private:
  void read_clips(const FileRows& rows, const RowList& chosen, int threads, bool training);
  void make_clips(const ImageRows& rows, const RowList& chosen);
  void start_shape();
  Image in_size(Image image, const std::string& name) const;
  void keep_clip(std::size_t row, std::vector<Image> frames);
  void fit_scale();

  std::string column_ = "video";
  std::string class_file_;
  std::int64_t frames_ = 16;
  std::int64_t stride_ = 1;
  double fps_ = 0;
  std::vector<double> size_;  // [height, width]; empty: of the first training clip
  Resize resize_ = Resize::kNone;
  std::string channels_ = "auto";
  std::int64_t memory_ = 4096;  // MiB
  MovingOptions moving_;
  bool temporal_ = false;
  Augmentation augmentation_;

  ImageFit fit_;
  std::vector<std::vector<std::uint8_t>> clips_;  // of each example: its frames x fit_.shape
  std::vector<std::size_t> costs_;                // all 1
  std::optional<Table> table_;
};

}  // namespace detente::data
