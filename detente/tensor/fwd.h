// SPDX-License-Identifier: Apache-2.0
// LibTorch's names, declared and no more: what public headers of this project may know of it.
// A file that touches a tensor includes <ATen/core/Tensor.h> itself.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace at {
class Tensor;
}

namespace detente {

using TensorList = std::vector<at::Tensor>;
// In the order in which they were made; names are unique.
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

}  // namespace detente
