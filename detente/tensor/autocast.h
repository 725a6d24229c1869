// SPDX-License-Identifier: Apache-2.0
// Mixed precision: parameters stay as they are, LibTorch computes what gains by it (matrix
// products, convolutions) in a smaller type, and gradients arrive in the parameters' type. For the
// forward pass only; backward follows it by itself.
#pragma once

#include <detente/tensor/device.h>

namespace detente::tensor {

enum class LowPrecision { kBFloat16, kFloat16 };

// Switches it on for this thread as long as the object lives, and what was before back on. Objects
// may be nested and die in the opposite order. Copies of parameters made inside are dropped with
// the outermost.
class Autocast {
 public:
  Autocast(Device device, LowPrecision type);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  bool cuda_;
  bool was_on_;
  int type_before_;  // at::ScalarType
};

}  // namespace detente::tensor
