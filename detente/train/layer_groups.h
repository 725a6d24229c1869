// SPDX-License-Identifier: Apache-2.0
// The shared parameters by layer, from their names: where in the network tasks conflict.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace detente::train {

struct LayerGroups {
  std::vector<std::string> names;  // in the order of the parameters
  std::vector<int> group_of;       // per parameter, an index into `names`
};

// "layers.0.attention.qkv.weight" belongs to "layers.0", "embedding.weight" to "embedding". With
// more than `most` groups (>= 1) neighbouring numbered layers are joined ("layers.0-1"), and what
// is still too many at the end becomes "rest".
LayerGroups layer_groups(const std::vector<std::string>& parameters, std::size_t most = 12);

}  // namespace detente::train
