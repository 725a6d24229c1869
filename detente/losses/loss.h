// SPDX-License-Identifier: Apache-2.0
// The common interface of losses: predictions and targets of one task and one batch in, a scalar
// out. Rows whose target is NaN (missing) are dropped before anything is computed. The rows of maps are
// the pixels of the whole batch: a mean over rows counts every pixel with a target alike, whatever
// example it is of.
#pragma once

#include <detente/core/fields.h>
#include <detente/tensor/fwd.h>
#include <detente/tensor/head.h>

#include <cstdint>
#include <span>

namespace detente::losses {

struct LossInfo {
  std::int64_t rows = 0;  // with a target; of several numbers per row numbers, of maps pixels
  bool correlation_skipped = false;  // the correlation term was undefined and left out
};

class Loss {
 public:
  virtual ~Loss() = default;

  // prediction: [n], [n, 1] or, for classes and vectors, [n, c] (ordered classes: [n, classes - 1]);
  // target: [n], for vectors [n, c], float32 or float64, NaN where missing. Or maps: prediction [b, c, h,
  // w], target [b, h, w] or [b, c, h, w], pixels as rows. With several numbers per row both are [n, m],
  // and every number that is there counts the same; a loss of whole columns (correlation) is the mean of
  // theirs. Returns a scalar with its graph, or an undefined tensor when there is nothing to learn from
  // (no target in the batch): the task is absent, which is not the same as a loss of 0. Throws kShape
  // when sizes differ, kData for a target the loss cannot use (a class out of range).
  //
  // `class_weights`, one per class (binary: of 0 and of 1): each row's loss times that of its target,
  // still divided by the number of rows. kInvalidArgument for losses that know no classes.
  at::Tensor operator()(const at::Tensor& prediction,
                        const at::Tensor& target,
                        LossInfo* info = nullptr,
                        std::span<const double> class_weights = {}) const;

  virtual const char* name() const = 0;
  // The options, for recipes and documentation.
  virtual void describe(FieldVisitor& visitor);

 protected:
  // Rows with targets only, n >= 1; prediction and target have the same floating dtype. A loss
  // implements one of the two: the value, or what it is the mean of, one number per row.
  virtual at::Tensor compute(const at::Tensor& prediction,
                             const at::Tensor& target,
                             LossInfo& info) const;
  virtual at::Tensor terms(const at::Tensor& prediction, const at::Tensor& target) const;
  // Whether the prediction has a column per class or step between classes.
  virtual bool wants_classes() const { return false; }
  // Columns of predictions and targets where both are vectors; 0: they are not.
  virtual std::int64_t wants_vectors() const { return 0; }
  // Whether it says something about a whole column rather than about each number.
  virtual bool by_column() const { return false; }

 private:
  at::Tensor mean_of_columns(const at::Tensor& prediction,
                             const at::Tensor& target,
                             LossInfo& info) const;
};

}  // namespace detente::losses
