// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/train/granularity.h>

#include <algorithm>

namespace detente::train {
namespace {

bool stands_for(const std::string& prefix, const std::string& name) {
  return name.starts_with(prefix) && (name.size() == prefix.size() || name[prefix.size()] == '.');
}

// "layers.0.norm.gain" has the prefixes "layers", "layers.0", "layers.0.norm" and itself.
std::vector<std::string> all_prefixes(const std::vector<std::string>& names) {
  std::vector<std::string> found;
  for (const std::string& name : names) {
    for (std::size_t end = name.find('.');; end = name.find('.', end + 1)) {
      const std::string prefix = name.substr(0, end);
      if (std::find(found.begin(), found.end(), prefix) == found.end()) found.push_back(prefix);
      if (end == std::string::npos) break;
    }
  }
  return found;
}

// The nearest first.
std::vector<std::string> nearest_prefixes(const std::string& word,
                                          const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 12;
  std::vector<std::string> all = all_prefixes(names);
  std::stable_sort(all.begin(), all.end(), [&](const std::string& a, const std::string& b) {
    return edit_distance(word, a) < edit_distance(word, b);
  });
  all.resize(std::min(all.size(), kShown));
  return all;
}

LayerGroups named_groups(const std::vector<std::string>& prefixes,
                         const std::vector<std::string>& parameters) {
  LayerGroups groups{prefixes, {}};
  std::vector<std::size_t> sizes(prefixes.size() + 1);
  for (const std::string& name : parameters) {
    std::size_t best = prefixes.size();
    for (std::size_t i = 0; i < prefixes.size(); ++i) {
      const bool longer = best == prefixes.size() || prefixes[i].size() > prefixes[best].size();
      if (stands_for(prefixes[i], name) && longer) best = i;
    }
    ++sizes[best];
    groups.group_of.push_back(static_cast<int>(best));
  }
  for (std::size_t i = 0; i < prefixes.size(); ++i) {
    const bool taken = std::any_of(parameters.begin(), parameters.end(), [&](const auto& name) {
      return stands_for(prefixes[i], name);
    });
    DETENTE_CHECK(sizes[i] > 0 || !taken,
                  ErrorCode::kInvalidArgument,
                  "[train::parameter_groups] 'engine.groups': other entries take all "
                  "parameters of '{}'. Leave it out.",
                  prefixes[i]);
    DETENTE_CHECK(sizes[i] > 0,
                  ErrorCode::kInvalidArgument,
                  "[train::parameter_groups] 'engine.groups': no shared parameter is named "
                  "'{0}' or begins with '{0}.'; the nearest names: {1}.",
                  prefixes[i],
                  join_names(nearest_prefixes(prefixes[i], parameters)));
  }
  if (sizes.back() > 0) groups.names.emplace_back("rest");
  return groups;
}

}  // namespace

void GranularityOptions::describe(FieldVisitor& visitor) {
  visitor.choice(
      "granularity",
      groups,
      {{"model", Groups::kModel}, {"layers", Groups::kLayers}, {"groups", Groups::kNamed}},
      "For which shared parameters one direction is found: for all of them (model), for "
      "each layer, or for each of `groups`. A layer or group is balanced by "
      "a method of its own that sees its part of the gradients alone; for methods that "
      "look at the Gram matrix (class G, G+L).");
  visitor.texts(
      "groups",
      prefixes,
      {},
      "granularity groups: the beginnings of parameters' names, up to a dot or the end, e.g. "
      "[embedding, layers.0]. The longest that fits counts; what none fits is one more "
      "group, `rest`.");
}

LayerGroups parameter_groups(const GranularityOptions& options,
                             const std::vector<std::string>& parameters) {
  if (options.groups != GranularityOptions::Groups::kNamed) return layer_groups(parameters);
  return named_groups(options.prefixes, parameters);
}

}  // namespace detente::train
