// SPDX-License-Identifier: Apache-2.0
// Linear models on features that stay as they are, refitted in milliseconds: what Data-OOB, leaving
// out and games over examples can afford to ask a thousand times.
//
// For rows with repeats w_i, x̄ and ȳ their means:
//   minimise Σ_i w_i ‖Wᵀ(x_i − x̄) − (y_i − ȳ)‖² + λ ‖W‖²,  λ = l2 / d · Σ_i w_i ‖x_i − x̄‖²
// so that l2 means the same for features of any scale. A class becomes a column of 1 where it is
// and −1 where it is not; the largest column is what is predicted, the lower class of equal ones.
#pragma once

#include <detente/valuation/data_oob.h>
#include <detente/valuation/game.h>

#include <cstddef>
#include <span>
#include <vector>

namespace detente::valuation {

struct RidgeTask {
  std::span<const double> labels;  // of all rows; NaN: not labelled
  std::size_t classes = 0;         // ids from 0 to classes − 1; 0: numbers
};

class Ridge {
 public:
  // features [n, width], row-major; they and the labels are used, not copied. Throws kShape,
  // kNumeric naming the row for features or labels that are not finite, kInvalidArgument for
  // l2 <= 0, one class and labels that are none of the classes.
  Ridge(std::span<const float> features,
        std::size_t width,
        std::vector<RidgeTask> tasks,
        double l2 = 1e-2);

  std::size_t rows() const { return rows_; }
  std::size_t tasks() const { return tasks_.size(); }

  // On these rows, with repeats, in any order. Tasks that are labelled on the same of them share
  // one factorisation, of the smaller side: rows · width · min(rows, width) products.
  // kInvalidArgument for a row that is none.
  void fit(std::span<const std::size_t> rows);

  // [m, tasks]: a class id or a number. Of a task that no fitted row has a label for NaN or 0.
  std::vector<double> predict(std::span<const float> features) const;

  // [m, tasks] for these features' labels: 1 or 0 for a class that is right or not (1/classes for a
  // task without labels to learn from), −(y − ŷ)² for numbers, NaN for no label.
  std::vector<double> score(std::span<const float> features,
                            std::span<const RidgeTask> tasks) const;
  // The same for rows of its own.
  std::vector<double> score(std::span<const std::size_t> rows) const;

 private:
  struct Columns;  // of tasks that are solved together

  std::vector<std::vector<std::size_t>> groups_of(std::span<const std::size_t> distinct) const;
  void fit_group(std::span<const std::size_t> rows,
                 std::span<const double> repeats,
                 std::span<const std::size_t> tasks);
  std::vector<double> outputs(std::span<const float> features) const;
  double score_one(std::size_t task, const double* outputs, double label) const;
  double predict_one(std::size_t task, const double* outputs) const;

  std::span<const float> features_;
  std::size_t width_;
  std::size_t rows_;
  std::vector<RidgeTask> tasks_;
  double l2_;
  std::vector<std::size_t> first_column_;  // of each task, then how many there are
  std::vector<char> fitted_;               // of each task
  std::vector<double> weights_;            // [width, columns]
  std::vector<double> intercepts_;         // columns
};

// For data_oob, with an output for each task. The model is used, not copied.
FitAndScore oob_of(Ridge& ridge);

// For games whose players are rows: the mean of each task's scores on rows set aside, which judge.
// Used, not copied. kShape, kInvalidArgument where a task has no label there.
Utility utility_of(Ridge& ridge, std::span<const float> features, std::vector<RidgeTask> tasks);

}  // namespace detente::valuation
