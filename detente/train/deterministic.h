// SPDX-License-Identifier: Apache-2.0
// LibTorch's choice of algorithms that give the same bits every time, in place of faster ones whose
// sums depend on chance (on a GPU); an operation that has none is an error then.
#pragma once

#include <detente/tensor/device.h>

namespace detente::train {

// For the whole process, as long as the object lives. On CUDA it also sets the workspace that
// cuBLAS needs for it in the environment, where nothing is set yet: make it before the first
// product of matrices.
class DeterministicAlgorithms {
 public:
  explicit DeterministicAlgorithms(tensor::Device device);
  ~DeterministicAlgorithms();
  DeterministicAlgorithms(const DeterministicAlgorithms&) = delete;
  DeterministicAlgorithms& operator=(const DeterministicAlgorithms&) = delete;

 private:
  bool was_on_;
  bool only_warned_;
};

}  // namespace detente::train
