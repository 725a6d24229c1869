// SPDX-License-Identifier: Apache-2.0
// Images with something for each of their pixels (data/dense_file.h) as a source, in memory.
//
// Array of a batch: "image" [B, channels, height, width] float; (value − mean) / deviation of the
// training images' channel, or with `scale: stored` the values of the file.
//
// Columns for tasks:
//
//   label        segmentation: the class of each pixel
//   edges        segmentation with 2 classes: 1 where one of the four neighbours has another class, 0
//                elsewhere; pixels without a class have none and make no edge
//   depth        depth
//   normal       normals
//   has_<class>  binary, one answer an image: whether any pixel has the class; by its name of the
//                class file or its number. Missing where no pixel has a class.
//
// Fitted: size and channels, means and deviations, the classes' names. Targets of a changed training
// example (data/dense_augmentation.h) are those of what it shows after the change.
#pragma once

#include <detente/data/dense_augmentation.h>
#include <detente/data/dense_file.h>
#include <detente/data/source.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace detente::data {

class DenseSource final : public Source {
 public:
  const char* kind() const override { return "dense"; }
  void describe(FieldVisitor& data) override;
  bool standard_targets() const override { return false; }
  void resolve_paths(const std::filesystem::path& folder) override;
  std::vector<std::string> named_inputs() const override { return {"example"}; }
  std::vector<std::string> named_files() const override { return {class_file_}; }
  std::unique_ptr<Source> fresh() const override;

  std::size_t size() const override { return maps_.count; }
  std::span<const std::size_t> costs() const override { return costs_; }
  Batch batch(std::span<const std::size_t> rows, const Rng* augment) const override;
  Batch target_batch(std::span<const std::size_t> rows,
                     const Rng* augment = nullptr) const override;
  std::string digest() const override;
  void save(const std::filesystem::path& run) const override;  // dense.json
  void load(const std::filesystem::path& run) override;
  // "example": the image's place in the file or folder.
  std::vector<ShownColumn> shown() const override;

  std::pair<std::size_t, std::size_t> map_size() const override {
    return {fit_.shape.height, fit_.shape.width};
  }

  // Values from 0 to 1 or to 255 as they are; others so that the image's least is black, its largest white.
  Image picture(std::size_t row) const override;

  const std::string& label_folder() const { return label_folder_; }
  // What depth maps are said to hold: distances or their inverses (disparities); kAny: nobody says.
  enum class Depth { kAny, kDistance, kInverse };
  Depth depth() const { return depth_; }
  // Of columns has_<class> the class, of others -1. Throws kInvalidArgument for columns that there are not or
  // that are of another kind, kIo and kData for the class file.
  std::vector<std::int16_t> presence_classes(std::span<const TargetColumn> targets) const;
  std::size_t memory() const { return static_cast<std::size_t>(memory_) << 20U; }

  const DenseShape& shape() const { return fit_.shape; }
  // What the image's values are brought to zero and one by, per channel; 0 and 1 with scale: stored.
  const std::vector<double>& means() const { return fit_.means; }
  const std::vector<double>& deviations() const { return fit_.deviations; }

 protected:
  void read_rows(const SourceInput& input, const Source* fitted) override;

 private:
  enum class Scale { kStandard, kStored };
  enum class Form { kLabel, kEdges, kDepth, kNormal, kPresence };
  struct Wanted {
    Form form = Form::kLabel;
    std::int16_t class_id = 0;  // kPresence
  };
  struct Fit {
    DenseShape shape;
    std::vector<double> means;
    std::vector<double> deviations;
    std::vector<std::string> classes;
  };

  Wanted wanted(const TargetColumn& target) const;
  void fit_scale();
  Target read_dense_target(const TargetColumn& column, const Wanted& wanted);
  void check_labels(const TargetColumn& column) const;
  // A target of one example under a change, as target_batch gives it.
  std::vector<float> target_map(const Wanted& wanted,
                                std::size_t row,
                                const DenseChange& change) const;

  std::string class_file_;
  std::string label_folder_ = "label";
  Scale scale_ = Scale::kStandard;
  Depth depth_ = Depth::kAny;
  std::int64_t memory_ = 4096;  // MiB
  DenseAugmentation augmentation_;

  Fit fit_;
  DenseMaps maps_;
  std::string file_;                // of maps_
  std::vector<Wanted> wanted_;      // of targets_
  std::vector<std::size_t> costs_;  // all 1
};

}  // namespace detente::data
