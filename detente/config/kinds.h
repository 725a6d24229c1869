// SPDX-License-Identifier: Apache-2.0
// Words that decide which options stand beside them (FieldVisitor::kind), in a tree that is not
// read yet.
#pragma once

#include <detente/config/tree.h>
#include <detente/core/fields.h>

#include <optional>
#include <string>
#include <vector>

namespace detente::config {

struct Kind {
  std::string word;                  // as the tree says, or the default
  std::vector<std::string> options;  // the keys beside it that belong to this word
};

// The kind at a dotted path ("balance.method", "tasks.score.loss.name"; elements of lists as in
// apply_override); nothing where the struct has no kind there. Values that are wrong or keys that
// are unknown do not matter yet. The described struct is changed: give one that nobody needs.
std::optional<Kind> find_kind(const Node& root, const std::string& path, const Describe& describe);

// Before apply_override(root, assignment): where that puts another word into a kind, the options of
// the word it replaces go, which would be unknown keys beside the new one. Anything else is left
// alone, wrong assignments too.
void drop_replaced_options(Node& root, const std::string& assignment, const Describe& describe);

}  // namespace detente::config
