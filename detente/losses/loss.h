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

namespace detente::losses {

struct LossInfo {
  std::int64_t rows = 0;             // rows (of maps: pixels) with a target
  bool correlation_skipped = false;  // the correlation term was undefined and left out
};

class Loss {
 public:
  virtual ~Loss() = default;

  // prediction: [n], [n, 1] or, for classes and vectors, [n, c]; target: [n], for vectors [n, c],
  // float32 or float64, NaN where missing. Or maps: prediction [b, c, h, w], target [b, h, w] or
  // [b, c, h, w]. Returns a scalar with its graph, or an undefined tensor when there is nothing to
  // learn from (no target in the batch): the task is absent, which is not the same as a loss of 0.
  // Throws kShape when sizes differ, kData for a target the loss cannot use (a class out of range).
  at::Tensor operator()(const at::Tensor& prediction,
                        const at::Tensor& target,
                        LossInfo* info = nullptr) const;

  virtual const char* name() const = 0;
  // The options, for recipes and documentation.
  virtual void describe(FieldVisitor& visitor);

 protected:
  // Rows with targets only, n >= 1; prediction and target have the same floating dtype.
  virtual at::Tensor compute(const at::Tensor& prediction,
                             const at::Tensor& target,
                             LossInfo& info) const = 0;
  // Whether the prediction has a column per class.
  virtual bool wants_classes() const { return false; }
  // Columns of predictions and targets where both are vectors; 0: they are not.
  virtual std::int64_t wants_vectors() const { return 0; }
};

}  // namespace detente::losses
