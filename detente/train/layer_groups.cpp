// SPDX-License-Identifier: Apache-2.0
#include <detente/train/layer_groups.h>

#include <algorithm>

namespace detente::train {
namespace {

struct Layer {
  std::string stem;  // "layers" of "layers.3"
  int number = -1;   // -1: not numbered

  bool operator==(const Layer&) const = default;
};

Layer layer_of(const std::string& parameter) {
  const std::size_t dot = parameter.find('.');
  Layer layer{parameter.substr(0, dot), -1};
  if (dot == std::string::npos) return layer;
  const std::string second = parameter.substr(dot + 1, parameter.find('.', dot + 1) - dot - 1);
  const bool digits = !second.empty() && second.size() < 7 &&
                      second.find_first_not_of("0123456789") == std::string::npos;
  if (digits) layer.number = std::stoi(second);
  return layer;
}

std::string name_of(const Layer& layer, int joined, const std::vector<Layer>& all) {
  if (layer.number < 0) return layer.stem;
  const int first = layer.number / joined * joined;
  int last = first;
  for (const Layer& other : all) {
    if (other.stem == layer.stem && other.number < first + joined) {
      last = std::max(last, other.number);
    }
  }
  const std::string name = layer.stem + "." + std::to_string(first);
  return last == first ? name : name + "-" + std::to_string(last);
}

LayerGroups grouped(const std::vector<Layer>& layers, int joined) {
  LayerGroups groups;
  for (const Layer& layer : layers) {
    const std::string name = name_of(layer, joined, layers);
    const auto at = std::find(groups.names.begin(), groups.names.end(), name);
    groups.group_of.push_back(static_cast<int>(at - groups.names.begin()));
    if (at == groups.names.end()) groups.names.push_back(name);
  }
  return groups;
}

}  // namespace

LayerGroups layer_groups(const std::vector<std::string>& parameters, std::size_t most) {
  std::vector<Layer> layers;
  int last = 0;
  for (const auto& parameter : parameters) {
    layers.push_back(layer_of(parameter));
    last = std::max(last, layers.back().number);
  }
  LayerGroups groups = grouped(layers, 1);
  for (int joined = 2; groups.names.size() > most && joined <= 2 * last; ++joined) {
    groups = grouped(layers, joined);
  }
  if (groups.names.size() > most) {
    groups.names.resize(most);
    groups.names.back() = "rest";
    for (int& group : groups.group_of) group = std::min(group, static_cast<int>(most) - 1);
  }
  return groups;
}

}  // namespace detente::train
