// SPDX-License-Identifier: Apache-2.0
// A list of parameters seen as one flat vector: where each one lies, gradients into rows of a
// K×P buffer, and a flat direction into the parameters' .grad without a copy.
#pragma once

#include <detente/tensor/fwd.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace detente::tensor {

class FlatLayout {
 public:
  FlatLayout() = default;
  // All parameters need one dtype and one device; kShape otherwise, naming the odd one's position.
  explicit FlatLayout(const TensorList& parameters);

  // P, the number of scalars.
  std::int64_t size() const { return size_; }
  std::size_t count() const { return offsets_.size(); }
  std::int64_t offset(std::size_t i) const { return offsets_[i]; }
  // Where parameter i ends.
  std::int64_t end(std::size_t i) const {
    return i + 1 < offsets_.size() ? offsets_[i + 1] : size_;
  }

  // Copies one gradient per parameter into `row` [P]; an undefined gradient gives zeros.
  void gather(const TensorList& gradients, const at::Tensor& row) const;

  // Makes .grad of each parameter a piece of `flat` [P, contiguous]. The pieces share its memory
  // but are tensors in their own right, not views: optimisers call detach_() on .grad, which
  // refuses views. `flat` must not be reused while the gradients are wanted.
  void share_as_gradients(const at::Tensor& flat, const TensorList& parameters) const;

 private:
  std::vector<std::int64_t> offsets_;
  std::vector<std::vector<std::int64_t>> shapes_;
  std::int64_t size_ = 0;
};

}  // namespace detente::tensor
