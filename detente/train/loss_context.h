// SPDX-License-Identifier: Apache-2.0
// What a source of losses is made from.
#pragma once

#include <detente/nn/model.h>
#include <detente/tensor/device.h>
#include <detente/tensor/group.h>
#include <detente/train/corpus.h>
#include <detente/train/recipe.h>

#include <cstdint>
#include <memory>

namespace detente::train {

// All of it outlives the source.
struct LossContext {
  const Recipe& recipe;
  const Corpus& corpus;    // the rows that the source is asked about are those of corpus.train
  const nn::Model& model;  // on its device
  tensor::Device device = {};
  tensor::DType dtype = {};
  std::int64_t steps_per_epoch = 1;
  std::int64_t total_steps = 1;
  std::shared_ptr<tensor::Group> group = std::make_shared<tensor::Group>();
};

}  // namespace detente::train
