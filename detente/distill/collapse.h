// SPDX-License-Identifier: Apache-2.0
// Whether self-distillation has come to nothing, from numbers of each step: h1, the mean entropy of
// the teacher's answers, and h2, the entropy of their mean (dino_loss.h).
//
//   kUniform       h1 > 0.99 ln K: every answer is "all the same"; the loss stands at ln K
//   kOnePrototype  h2 < 0.1 ln K: one output takes the whole batch
//   kOneAnswer     h2 − h1 < 0.001 ln K: every row has the same answer, whatever it is; h2 − h1 is
//                  what an answer says about its row. A small head, or a temperature that cannot make
//                  answers sharp, collapses so without coming near the other two ends.
//
// each `patience` steps on end; of several the first is named. Numbers of the first epochs
// mean little, as everything is alike at the start: begin after the warm-up.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

namespace detente::distill {

struct DinoOptions;

class CollapseMonitor {
 public:
  enum class State { kFine, kUniform, kOnePrototype, kOneAnswer };

  // outputs = K >= 2, patience >= 1: kInvalidArgument otherwise.
  explicit CollapseMonitor(std::int64_t outputs, std::int64_t patience = 50);

  // One step; `feature_deviation` (dino_loss.h; NaN: not known) decides nothing and is for
  // remedy(). Not kFine from the step on at which a condition has held `patience` steps on end,
  // until it does not hold. NaN among the entropies holds no condition: give it for a single row,
  // whose answer is always that of all.
  State add(double mean_entropy, double entropy_of_mean, double feature_deviation);

  // What is wrong and what to change, with the last step's numbers and the options' present ones;
  // "" for kFine.
  std::string remedy(State state, const DinoOptions& options) const;

  // For snapshots: six numbers. load_state throws kData for others than state() gives.
  std::vector<double> state() const;
  void load_state(std::span<const double> numbers);

 private:
  double log_outputs_;
  std::int64_t patience_;
  std::int64_t uniform_steps_ = 0;
  std::int64_t one_prototype_steps_ = 0;
  std::int64_t one_answer_steps_ = 0;
  double mean_entropy_ = std::numeric_limits<double>::quiet_NaN();
  double entropy_of_mean_ = std::numeric_limits<double>::quiet_NaN();
  double feature_deviation_ = std::numeric_limits<double>::quiet_NaN();
};

// "fine", "uniform", "one_prototype", "one_answer".
const char* name_of(CollapseMonitor::State state);

}  // namespace detente::distill
