// SPDX-License-Identifier: Apache-2.0
#include <detente/core/suggest.h>
#include <detente/data/inspect_steps.h>
#include <detente/metrics/metrics.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace detente::data::internal {
namespace {

constexpr double kCorrelated = 0.99999;
constexpr double kByChance = 1e-9;
constexpr std::size_t kFewest = 5;

// The rows that have both, as numbers of an input's cells and a task's targets.
struct Both {
  std::vector<std::uint32_t> inputs;
  std::vector<std::uint32_t> targets;
};

std::size_t count_ids(const std::vector<std::uint32_t>& ids) {
  return ids.empty() ? 0 : 1 + static_cast<std::size_t>(*std::max_element(ids.begin(), ids.end()));
}

// Whether rows with one of `from` all have one of `to`. At the first that have not, it is over.
bool is_function(const std::vector<std::uint32_t>& from, const std::vector<std::uint32_t>& to) {
  constexpr std::uint32_t kNone = ~std::uint32_t{0};
  std::vector<std::uint32_t> image(count_ids(from), kNone);
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::uint32_t& known = image[from[i]];
    if (known == kNone) known = to[i];
    if (known != to[i]) return false;
  }
  return true;
}

// How probable it is that equal inputs have equal targets, were the targets dealt out by chance.
double log_chance(const Both& both) {
  std::vector<std::size_t> targets(count_ids(both.targets), 0);
  for (const std::uint32_t id : both.targets) ++targets[id];
  const auto most = static_cast<double>(*std::max_element(targets.begin(), targets.end()));
  std::vector<char> seen(count_ids(both.inputs), 0);
  std::size_t different = 0;
  for (const std::uint32_t id : both.inputs) {
    if (seen[id] == 0) ++different;
    seen[id] = 1;
  }
  const auto repeats = static_cast<double>(both.inputs.size() - different);
  return repeats * std::log(most / static_cast<double>(both.inputs.size()));
}

// "" where the input tells nothing by itself.
std::string how_numbers_tell(const std::vector<double>& inputs,
                             const std::vector<double>& targets) {
  std::vector<double> x;
  std::vector<double> y;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!std::isfinite(inputs[i]) || std::isnan(targets[i])) continue;
    x.push_back(inputs[i]);
    y.push_back(targets[i]);
  }
  if (x.size() < kFewest) return "";
  std::vector<double> sorted = x;
  std::sort(sorted.begin(), sorted.end());
  if (std::unique(sorted.begin(), sorted.end()) - sorted.begin() <= 2) return "";
  if (x == y) return "equals";
  const metrics::Score score = metrics::pearson(x, y);
  return score.defined() && std::abs(score.value) >= kCorrelated ? "correlates" : "";
}

std::string how_cells_tell(const std::vector<std::uint32_t>& inputs,
                           const std::vector<std::uint32_t>& ids,
                           const Target& target) {
  Both both;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (std::isnan(target.values[i])) continue;
    both.inputs.push_back(inputs[i]);
    both.targets.push_back(ids[i]);
  }
  if (both.inputs.size() < 2 || !is_function(both.inputs, both.targets)) return "";
  if (log_chance(both) > std::log(kByChance)) return "";
  return is_function(both.targets, both.inputs) ? "one to one" : "determines";
}

const char* what_it_does(const std::string& how) {
  if (how == "equals") return "equals";
  if (how == "correlates") return "is up to scale";
  if (how == "one to one") return "names one to one";
  return "determines";
}

}  // namespace

void inspect_leaks(Parts parts, std::span<const InputColumn> inputs, DataFindings& findings) {
  const InspectedPart& train = parts.front();
  std::vector<std::vector<std::uint32_t>> targets;
  for (const Target& target : train.targets) targets.push_back(value_ids(target.values));
  // By what is told and how: a table with a leak often has it for many tasks.
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> tasks;
  for (const InputColumn& input : inputs) {
    // What is in a file may well tell: that is what it is for.
    if (input.kind == "left out" || input.kind == "file") continue;
    const bool has_numbers = input.kind == "number" || input.kind == "date";
    const auto numbers = has_numbers ? cell_numbers(train.table, input) : std::vector<double>();
    const auto ids = cell_ids(train.table, input);
    for (std::size_t k = 0; k < train.targets.size(); ++k) {
      const Target& target = train.targets[k];
      std::string how = has_numbers ? how_numbers_tell(numbers, target.values) : "";
      if (how.empty()) how = how_cells_tell(ids, targets[k], target);
      if (how.empty()) continue;
      findings.given_away.push_back({target.task, input.name, how});
      tasks[{input.name, how}].push_back(target.task);
    }
  }
  for (const auto& [what, names] : tasks) {
    findings.warnings.push_back(
        {"leak",
         fmt::format("Input '{}' {} the targets of {} {}. If it will not be known where the model "
                     "is used, put it in data.ignore.",
                     what.first,
                     what_it_does(what.second),
                     names.size() == 1 ? "task" : "the tasks",
                     join_names(names))});
  }
}

}  // namespace detente::data::internal
