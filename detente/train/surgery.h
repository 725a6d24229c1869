// SPDX-License-Identifier: Apache-2.0
// For which parameters one direction is found: all shared ones together, each layer, or groups that
// the user names. Every group is balanced by a method of its own, which sees the group's part of
// the gradients alone (engine::MultiTaskBackward::balance_by_group).
#pragma once

#include <detente/balance/method.h>
#include <detente/core/fields.h>
#include <detente/core/json.h>
#include <detente/train/layer_groups.h>

#include <memory>
#include <string>
#include <vector>

namespace detente::train {

struct SurgeryOptions {
  enum class Groups { kModel, kLayers, kNamed };

  Groups groups = Groups::kModel;
  std::vector<std::string> prefixes;  // kNamed only

  bool by_group() const { return groups != Groups::kModel; }
  void describe(FieldVisitor& visitor);
};

// The groups that a run reports and, when by_group(), balances: the layers, or one per prefix and
// "rest" for what none matches. A prefix stands for whole words between the dots of a name; the
// longest wins. Throws kInvalidArgument for a prefix that has no parameter.
LayerGroups parameter_groups(const SurgeryOptions& options,
                             const std::vector<std::string>& parameters);

// The methods of one run: a single one for the whole model, or one per group.
using MethodList = std::vector<std::shared_ptr<balance::Method>>;

// n new methods with the options of this one and no state.
MethodList methods_like(balance::Method& method, std::size_t n);

// The state of all; that of a single method is the method's own. Throws kData.
Json methods_state(const MethodList& methods);
void load_methods_state(const MethodList& methods, const Json& state);

// The same for the large arrays; the names of several methods' start with "0.", "1.", ...
std::vector<balance::StateArray> methods_arrays(const MethodList& methods);
void load_methods_arrays(const MethodList& methods, std::vector<balance::StateArray> arrays);

}  // namespace detente::train
