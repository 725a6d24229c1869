// SPDX-License-Identifier: Apache-2.0
// Parameter gradients of single layers from their input and their output's gradient: per task from
// the rows of a joint batch, or as inner products without forming them.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/core/matrix.h>
#include <detente/engine/internal/graph.h>

#include <cstdint>
#include <span>
#include <vector>

namespace detente::engine::internal {

// What a layer's backward needs beside the output's gradient; keeps its tensors alive after the
// graph has gone.
struct LayerInput {
  at::Tensor input;   // Linear [R, in]; Convolution [N, C, ...]; Embedding: indices;
                      // ScaleShift: what the scale multiplies (undefined for a pure shift)
  at::Tensor kernel;  // Convolution: the weight, for its shape and dtype
  std::vector<std::int64_t> stride, padding, dilation;
  std::int64_t groups = 1;
  std::int64_t padding_index = -1;      // Embedding
  std::vector<std::int64_t> weight_at;  // ScaleShift: the weight's shape against the output's
  std::vector<std::int64_t> bias_at;    // dimensions, sizes of 1 where it is broadcast
  double shift_factor = 1.0;            // of a sum with a parameter
};

// Reads it from the node's saved tensors, so before the graph is freed.
LayerInput read_layer_input(const LayerUse& use, const TensorList& shared);

// Where the tasks' gradients of one parameter go.
struct TaskRows {
  at::Tensor rows;   // [K, n], contiguous
  bool add = false;  // add to what is there (a parameter used more than once)
};

// Writes each task's gradient of the layer's weight, bias (either may be undefined) from its own
// rows of the batch. `gradient`: of the layer's output. Tasks without rows get zeros.
// Not for Embedding.
void task_gradients(const LayerUse& use,
                    const LayerInput& layer,
                    const at::Tensor& gradient,
                    const RowAssignment& assignment,
                    const TaskRows& weight,
                    const TaskRows& bias);

// Whether anything but LibTorch's own weight gradient is known for the layer when all rows belong
// to one task.
bool readable_by_rows(const LayerUse& use);

// The layer as a linear map of rows: x [R, in], with y = x Wᵀ; Convolution: x is unfolded, one row
// per output position, in = C·kernel. Linear and 2d convolution without groups only.
at::Tensor layer_rows(const LayerUse& use, const LayerInput& layer);
// The output's gradient as [R, out] in the same order of rows.
at::Tensor gradient_rows(const LayerUse& use, const at::Tensor& gradient);
bool has_rows(const LayerUse& use, const LayerInput& layer);

// Adds ⟨∇W_k, ∇W_l⟩ (and the bias's, if it has one) for all k, l to `gram`, without forming ∇W_k:
// ⟨δ_kᵀx, δ_lᵀx⟩ = ⟨δ_k, (x xᵀ) δ_l⟩. `gradients[k]`: [R, out], undefined for zero.
void add_ghost_gram(const at::Tensor& x, const TensorList& gradients, bool with_bias, Matrix& gram);

// Which entry of the table every row of the output's gradient belongs to; padding entries, whose
// gradient is dropped, get -1. Both flattened to [R] and [R, d].
at::Tensor embedding_ids(const LayerInput& layer);

}  // namespace detente::engine::internal
