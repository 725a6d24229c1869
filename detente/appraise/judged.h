// SPDX-License-Identifier: Apache-2.0
// What tracin and influence share: a model of one's own, who judges, and products of single examples'
// gradients with given directions.
#pragma once

#include <detente/appraise/appraise.h>
#include <detente/nn/model.h>
#include <detente/tensor/device.h>
#include <detente/tensor/fwd.h>
#include <detente/train/judge.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace detente::appraise {

struct Judged {
  const train::Recipe& recipe;
  nn::Model model;
  std::int64_t n;  // training rows
  train::Judge judge;

  Judged(const Subject& subject, const Options& options);
  // In another type than the run's.
  Judged(const Subject& subject, const Options& options, tensor::DType dtype);
  Judged(const Judged&) = delete;
  Judged& operator=(const Judged&) = delete;
  ~Judged() = default;

  // Shared ones and those of the tasks' heads, of the model as it is now.
  TensorList parameters() const;
  // In the same order.
  std::vector<std::string> parameter_names() const;
  // All training rows in turn, as many together as a training step takes; until `look` says false.
  void each_batch(const std::function<bool(const data::RowList&)>& look) const;
};

// ⟨∇ℓ_i^k, v_m⟩ of each example's own losses, not their shares of a mean: [M, K, rows], float64 on the
// host. 0 where a row has no target of a task. `directions`: per m one tensor for each parameter,
// undefined: 0.
at::Tensor own_products(const Judged& judged,
                        const data::Source& source,
                        const data::RowList& rows,
                        const TensorList& parameters,
                        const std::vector<TensorList>& directions);

}  // namespace detente::appraise
