// SPDX-License-Identifier: Apache-2.0
// For which parameters one direction is found: all shared ones together, each layer, or groups that
// the user names (granularity: GradVac's word, Wang et al. 2021). Every group is balanced by a method
// of its own, which sees the group's part of the gradients alone
// (engine::MultiTaskBackward::balance_by_group).
#pragma once

#include <detente/core/fields.h>
#include <detente/train/layer_groups.h>

#include <string>
#include <vector>

namespace detente::train {

struct GranularityOptions {
  enum class Groups { kModel, kLayers, kNamed };

  Groups groups = Groups::kModel;
  std::vector<std::string> prefixes;  // kNamed only

  bool by_group() const { return groups != Groups::kModel; }
  void describe(FieldVisitor& visitor);
};

// The groups that a run reports and, when by_group(), balances: the layers, or one per prefix and
// "rest" for what none matches. A prefix stands for whole words between the dots of a name; the
// longest wins. Throws kInvalidArgument for a prefix that has no parameter.
LayerGroups parameter_groups(const GranularityOptions& options,
                             const std::vector<std::string>& parameters);

}  // namespace detente::train
