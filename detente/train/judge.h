// SPDX-License-Identifier: Apache-2.0
// The tasks' losses on validation rows and how they would move with the parameters: what training
// examples are judged by.
#pragma once

#include <detente/data/batches.h>
#include <detente/tensor/fwd.h>
#include <detente/train/head_losses.h>
#include <detente/train/loss_context.h>

#include <cstddef>
#include <vector>

namespace detente::train {

class Judge {
 public:
  // By at most `rows` of context.corpus.dev, evenly spread. What the context names outlives it. Throws
  // kInvalidArgument where no task has labels, or no validation row a target of any.
  Judge(const LossContext& context, std::size_t rows);

  // Those with a target on some validation row, as indices into recipe.tasks.
  const std::vector<std::size_t>& tasks() const { return tasks_; }
  const HeadLosses& losses() const { return losses_; }

  // Per judged task the gradient of its loss, the mean over the rows, with respect to each parameter;
  // undefined where it does not reach. With `along` (one tensor per parameter, undefined: 0) Hessian-vector
  // products with it instead. Losses of whole columns (correlation) are means over batches.
  std::vector<TensorList> gradients(const TensorList& parameters,
                                    const TensorList* along = nullptr) const;

 private:
  LossContext context_;
  HeadLosses losses_;
  std::vector<std::size_t> tasks_;
  data::RowList rows_;
};

}  // namespace detente::train
