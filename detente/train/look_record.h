// SPDX-License-Identifier: Apache-2.0
// What the run's looks.json says of the model that an epoch keeps (report/looks.h): views of
// training images where the objective draws some, the attention of a vision transformer, and the
// training images whose features are most like those of a validation image.
#pragma once

#include <detente/nn/model.h>
#include <detente/report/looks.h>
#include <detente/train/corpus.h>
#include <detente/train/objective.h>
#include <detente/train/probe.h>
#include <detente/train/recipe.h>

#include <cstdint>
#include <string>
#include <vector>

namespace detente::train {

class LookRecord {
 public:
  // Both outlive the record.
  LookRecord(const Recipe& recipe, const Corpus& corpus);

  // Whether there is anything to show: of images, where features are what the run is about (an
  // objective with views, or a probe).
  bool any() const { return source_ != nullptr; }

  // `features`: the model's, of all rows, where they are known; else those of 2,000 training rows
  // at most are made. `epoch`: from 1. Needs any(). Equal for equal models.
  report::LookPixels looks(std::int64_t epoch,
                           const nn::Model& model,
                           const ProbedFeatures* features) const;
  // The text of looks.json.
  std::string text(std::int64_t epoch,
                   const nn::Model& model,
                   const ProbedFeatures* features) const {
    return report::looks_text(report::look_pictures(looks(epoch, model, features)));
  }

 private:
  void add_views(report::LookPixels& looks) const;
  void add_attention(report::LookPixels& looks, const nn::Model& model) const;
  void add_neighbours(report::LookPixels& looks,
                      const nn::Model& model,
                      const ProbedFeatures* features) const;
  std::string label_of(const data::Source& rows, std::size_t row) const;

  const Recipe& recipe_;
  const Corpus& corpus_;
  const data::PictureSource* source_ = nullptr;  // the training rows; null: nothing to show
  const data::PictureSource* asked_ = nullptr;   // the validation rows
  std::vector<Objective::View> views_;
};

}  // namespace detente::train
