// SPDX-License-Identifier: Apache-2.0
// Trunks that make a vector of a single text, before anything compares it with another: what a search by
// likeness needs.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/data/source.h>

namespace detente::nn {

class TextEncoder {
 public:
  virtual ~TextEncoder() = default;
  // [B, d] of the texts that a batch has as its arrays "first" and "first_length" (data/pair_source.h); nothing
  // else of it is read, nothing is dropped out. Throws kUnsupported where the trunk sees two texts in one
  // sequence only, kShape for an empty batch, kData for an id outside the vocabulary.
  virtual at::Tensor text_vectors(const data::Batch& batch) const = 0;
};

}  // namespace detente::nn
