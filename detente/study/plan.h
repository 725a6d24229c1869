// SPDX-License-Identifier: Apache-2.0
// What a study trains: methods, each in the settings of a grid, and single-task baselines, all with the
// same seeds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace detente::study {

// "cagrad[c=0.2;rescale=none]": a method with some of its options.
struct MethodSpec {
  std::string label;  // as it was written
  std::string method;
  std::vector<std::pair<std::string, std::string>> options;
};

// A list with commas between the methods; options stand in brackets behind a method's name, with commas
// or semicolons between them. Throws kInvalidArgument: empty, a bracket that does not close, an option
// without '=', a label that is there twice.
std::vector<MethodSpec> parse_methods(std::string_view text);

// "balance.c=0.2,0.4,0.8": a key of the recipe and the values it is to be tried with.
struct GridAxis {
  std::string key;
  std::vector<std::string> values;
};
// Throws kInvalidArgument: no key, no value, a value or (between axes) a key that is there twice.
std::vector<GridAxis> parse_grid(std::span<const std::string> texts);

// "3": the seeds 0, 1 and 2; "4,7": these ("4,": one alone). Throws kInvalidArgument: neither, more than 10,000
// seeds, a seed that is there twice or that no recipe takes.
std::vector<std::int64_t> parse_seeds(std::string_view text);

// One setting of what a study trains: a column of its table, or a candidate for one.
struct Variant {
  std::string method;                  // label of its method, or "single" for a baseline
  std::string setting;                 // "balance.c=0.2, optimizer.lr=0.01"; empty without a grid
  std::string task;                    // of a single-task baseline, else empty
  std::string folder;                  // below the study's folder; letters, digits and -_=. alone
  std::vector<std::string> overrides;  // as --set takes them

  bool single_task() const { return !task.empty(); }
  std::string name() const;  // "cagrad (balance.c=0.2)", "single task income"
};

// One run that a study trains.
struct PlannedRun {
  std::size_t variant = 0;
  std::int64_t seed = 0;
};

// The settings of one method, or of one task's baseline, together: indices, in the plan's order.
std::vector<std::vector<std::size_t>> families(std::span<const Variant> variants);

// A task that gets a single-task baseline, and the metric that chooses its epoch.
struct Baseline {
  std::string task;
  std::string metric;
};

// Methods with the settings of the grid, then the baselines, likewise. `applies` says whether a method
// (none: a baseline) has an axis' key; axes it lacks are left out for it.
std::vector<Variant> plan_variants(
    std::span<const MethodSpec> methods,
    std::span<const GridAxis> grid,
    std::span<const Baseline> baselines,
    const std::function<bool(const MethodSpec* method, const GridAxis& axis)>& applies);

}  // namespace detente::study
