// SPDX-License-Identifier: Apache-2.0
#include <detente/autograd/layers/layer_rule.h>

#include <string>
#include <unordered_map>

namespace detente::autograd {

const LayerRule* rule_of(const Node& node) {
  static const auto table = [] {
    std::unordered_multimap<std::string, const LayerRule*> all;
    for (const auto rules : {linear_rules(),
                             convolution_rules(),
                             transposed_convolution_rules(),
                             embedding_rules(),
                             grouped_linear_rules(),
                             scale_shift_rules(),
                             whole_node_rules()}) {
      for (const LayerRule& rule : rules) all.emplace(rule.node, &rule);
    }
    return all;
  }();
  const auto [first, last] = table.equal_range(node.name());
  for (auto entry = first; entry != last; ++entry) {
    const LayerRule* rule = entry->second;
    if (rule->applies == nullptr || rule->applies(node)) return rule;
  }
  return nullptr;
}

}  // namespace detente::autograd
