// SPDX-License-Identifier: Apache-2.0
// How good predictions are. Rows whose target is NaN are left out. A metric that is undefined says
// so: NaN with a reason, never a silent 0. Sums are two-pass in double.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace detente::metrics {

struct Score {
  double value;           // NaN when undefined
  std::string reason;     // why it is undefined, "" otherwise
  std::size_t rows = 0;   // rows that have a target; of maps pixels
  std::string note = {};  // what the value leaves out, for people; usually ""

  bool defined() const { return reason.empty(); }
};

// All throw kShape when the sizes differ; a prediction that is not finite makes the score
// undefined.
using Values = std::span<const double>;

// Undefined with fewer than two rows or a constant side.
Score pearson(Values predictions, Values targets);
// Pearson of the ranks; equal values share their average rank.
Score spearman(Values predictions, Values targets);
Score mae(Values predictions, Values targets);
Score mse(Values predictions, Values targets);
// 1 - SS_res / SS_tot; undefined with fewer than two rows or constant targets.
Score r2(Values predictions, Values targets);

// Binary: a row is predicted positive when its prediction is >= threshold; targets are 0 or 1.
Score binary_accuracy(Values predictions, Values targets, double threshold = 0.5);
// F1 of the positive class; undefined when no target is positive.
Score f1(Values predictions, Values targets, double threshold = 0.5);

// Predictions and targets are class ids.
Score class_accuracy(Values predictions, Values targets);
// Mean F1 over the classes that occur in predictions or targets.
Score macro_f1(Values predictions, Values targets);

}  // namespace detente::metrics
