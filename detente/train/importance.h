// SPDX-License-Identifier: Apache-2.0
// Permutation importance (Breiman 2001; Fisher, Rudin and Dominici, JMLR 2019): what a trained model
// loses when the values of one input are exchanged at random between the rows, so that the input says
// nothing any more and all else stays. Of two inputs that say the same, the model may use either, and
// both then look less important than they are together.
#pragma once

#include <detente/data/source.h>
#include <detente/nn/model.h>
#include <detente/train/recipe.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace detente::train {

struct ImportanceOptions {
  std::size_t repeats = 5;       // random exchanges of each input, >= 1
  std::size_t most_rows = 5000;  // evenly spread over the data; 0: all
  std::uint64_t seed = 0;
};

struct InputImportance {
  std::string input;
  double mean = 0;       // over the repeats; NaN where undefined
  double deviation = 0;  // of one repeat; NaN with a single one
};

struct TaskImportance {
  std::string task;
  // With targets: the task's first metric; an input's number is what it loses, in its own unit, positive
  // where the exchange makes the model worse. Without: "change", the root mean square change of the
  // predictions in units of their standard deviation (classes: the share of rows that get another one).
  std::string metric;
  double value = 0;                     // of the metric as the rows are; 0 for change
  std::vector<InputImportance> inputs;  // the most important first
};

struct Importance {
  std::size_t rows = 0;
  std::vector<TaskImportance> tasks;  // in the recipe's order
};

// Throws kInvalidArgument for data whose examples have no inputs of their own (Source::exchangeable),
// and for a single row.
Importance permutation_importance(const Recipe& recipe,
                                  const nn::Model& model,
                                  const data::Source& source,
                                  const ImportanceOptions& options = {});

}  // namespace detente::train
