// SPDX-License-Identifier: Apache-2.0
// Images (data/image_rows.h) of one size as a source, in memory with one byte a number. Fitted: the
// size and number of channels, mean and deviation of each channel, the classes' names; with `contrast` or
// `zca` also what whitens images (data/whitening.h).
//
// With `overlay: S` an example is two images on a black square of side S, the one at its top left,
// another, drawn from the same part, at its bottom right, joined by the pixel's larger value
// (Multi-MNIST, Sabour et al. 2017, Sener and Koltun 2018); each column of the images' table then
// is two, left_ and right_ before its name.
#pragma once

#include <detente/data/image.h>
#include <detente/data/image_rows.h>
#include <detente/data/labelled_rows.h>
#include <detente/data/picture_source.h>
#include <detente/data/whitening.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace detente::data {

class ImageSource final : public PictureSource {
 public:
  enum class Resize { kNone, kStretch, kCrop };

  const char* kind() const override { return "images"; }
  void describe(FieldVisitor& data) override;
  void resolve_paths(const std::filesystem::path& folder) override;
  std::vector<std::string> named_inputs() const override;
  std::vector<std::string> named_files() const override { return {class_file_}; }
  bool takes_sources() const override { return true; }
  std::unique_ptr<Source> fresh() const override;

  void save(const std::filesystem::path& run) const override;  // images.json
  void load(const std::filesystem::path& run) override;
  // The list's columns; of others the image's file or number, and the label where it was read.
  std::vector<ShownColumn> shown() const override;

  void check_options() const override;
  ImageShape shape() const override;
  bool whitened() const override { return whitening_ != nullptr; }
  // Which training rows keep their labels, and how many of them a step has.
  const LabelledRows& labelled() const { return labelled_; }
  // Whether an example is two images.
  bool overlays() const { return overlay_ > 0; }
  const ClassTable& classes() const { return fit_.classes; }

 protected:
  void read_rows(const SourceInput& input, const Source* fitted) override;
  void write_example(std::size_t row, std::uint8_t* out) const override;
  std::span<const float> whitened_example(std::size_t row) const override {
    return std::span(whitened_).subspan(row * shape().size(), shape().size());
  }

 private:
  // The chosen images in fit_.shape, which training rows decide.
  void read_pixels(const ImageRows& rows, const RowList& chosen, int threads, bool training);
  void read_block(const ImageRows& rows, const RowList& chosen, bool training);
  void read_files(const ImageRows& rows, const RowList& chosen, int threads, bool training);
  Image in_size(Image image, std::size_t height, std::size_t width, const std::string& name) const;
  void check_memory(std::size_t count, const ImageShape& shape) const;
  // `chosen`: the rows whose images are there, `kept`: those of them that are examples, ascending.
  void choose_partners(const RowList& chosen, const RowList& kept);
  void whiten(const ImageSource* fitted, int threads);

  std::string column_ = "image";
  std::string class_file_;
  std::vector<double> size_;  // [height, width]; empty: of the first training image
  Resize resize_ = Resize::kNone;
  std::string channels_ = "auto";
  std::int64_t memory_ = 4096;  // MiB
  std::int64_t overlay_ = 0;
  std::int64_t overlay_seed_ = 0;
  WhiteningOptions whitening_options_;
  LabelledRows labelled_;

  std::shared_ptr<const Whitening> whitening_;  // null: none
  std::vector<std::uint8_t> pixels_;            // of each row that was chosen
  std::vector<float> whitened_;                 // the same, in planes; else empty
  // Overlay: the images, in pixels_, at the upper left and at the bottom right.
  std::vector<std::size_t> corners_;
  std::vector<std::size_t> partners_;
  std::optional<Table> table_;
};

}  // namespace detente::data
