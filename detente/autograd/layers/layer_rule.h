// SPDX-License-Identifier: Apache-2.0
// What is known of one kind of layer: how it stands in the graph, what its backward needs, and how
// its parameters' gradients follow from that. One kind is one file beside this one; the table of
// them is in layer_rules.cpp. Kinds that no rule fits have their gradients asked of LibTorch.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/autograd/example_tasks.h>
#include <detente/autograd/graph_nodes.h>

#include <cstdint>
#include <span>
#include <vector>

namespace detente::autograd {

enum class LayerKind {
  kLinear,                 // y = x Wᵀ (+ b), rows of features
  kConvolution,            // 1, 2 or 3 spatial dimensions
  kTransposedConvolution,  // the same
  kEmbedding,
  kGroupedLinear,  // y_g = x_g W_g for each g: a batched product with a parameter
  kOther,          // its node's own backward, once per task
  kScaleShift,  // y = x̂ ⊙ γ + β: LayerNorm, GroupNorm, RMSNorm, BatchNorm; or a product or sum with
                // a parameter
};

// What a layer's backward needs beside the output's gradient; keeps its tensors alive after the
// graph has gone.
struct LayerInput {
  at::Tensor input;   // Linear [R, in]; convolutions [N, C, ...]; Embedding: indices;
                      // ScaleShift: what the scale multiplies (undefined for a pure shift)
  at::Tensor kernel;  // convolutions: the weight, for its shape and dtype
  std::vector<std::int64_t> stride, padding, dilation, output_padding;
  std::int64_t groups = 1;
  std::int64_t padding_index = -1;      // Embedding
  std::vector<std::int64_t> weight_at;  // ScaleShift: the weight's shape against the output's
  std::vector<std::int64_t> bias_at;    // dimensions, sizes of 1 where it is broadcast
  double shift_factor = 1.0;            // of a sum with a parameter
  std::vector<std::int64_t> output_as;  // of a repetition: times and size of each dimension
};

// Where the tasks' gradients of one parameter go.
struct TaskBlock {
  at::Tensor rows;   // [K, n], contiguous; undefined: not wanted
  bool add = false;  // add to what is there (a parameter used more than once)
};

// The gradients of the examples of one batch, at the output of a layer.
struct ExampleGradients {
  const LayerInput& layer;
  const at::Tensor& gradient;
  std::int64_t examples;
};

struct LayerRule {
  static constexpr int kNone = -1;
  static constexpr int kEitherSide = -2;  // the first or the second of two
  static constexpr int kAnySide = -3;     // one of any number

  LayerKind kind;
  const char* node;  // name of the node in the graph
  // Which of its edges may bring the weight and the bias.
  int weight_edge = kNone;
  int bias_edge = kNone;
  bool (*applies)(const Node& node) = nullptr;  // null: always

  // Reads it from the node's saved tensors, so before the graph is freed.
  LayerInput (*read)(const LayerUse& use, const TensorList& shared);

  // Writes each task's gradient of the layer's weight, bias from its own examples of the batch.
  // `gradient`: of the layer's output. Tasks without examples get zeros. (A table that is used by looking
  // up alone has a smaller form, embedding_table.h.)
  void (*task_gradients)(const LayerUse& use,
                         const LayerInput& layer,
                         const at::Tensor& gradient,
                         const ExampleTasks& examples,
                         const TaskBlock& weight,
                         const TaskBlock& bias);

  // products[i][j] += ⟨gradient of example i of a, of example j of b⟩ over weight and bias.
  void (*row_products)(const LayerUse& use,
                       const ExampleGradients& a,
                       const ExampleGradients& b,
                       at::Tensor& products);

  // How the output moves with the parameters, which it is linear in: what it would be with these in the
  // place of weight and bias (of their shapes; undefined: zero, not both) and nothing else added. As the
  // output lies, with sizes of 1 where it is the same all along a dimension. Null: not linear in them.
  at::Tensor (*moved)(const LayerUse& use,
                      const LayerInput& layer,
                      const at::Tensor& weight,
                      const at::Tensor& bias) = nullptr;

  // The layer as a linear map of rows: x [R, in], with y = x Wᵀ; a convolution's x is unfolded, one
  // row per output position, in = C·kernel. All null for kinds that are none; `has_rows` says
  // whether this use is one.
  bool (*has_rows)(const LayerUse& use, const LayerInput& layer) = nullptr;
  at::Tensor (*rows)(const LayerUse& use, const LayerInput& layer) = nullptr;
  // The output's gradient as [R, out] in the same order of rows.
  at::Tensor (*gradient_rows)(const at::Tensor& gradient) = nullptr;
  double (*row_count)(const LayerInput& layer) = nullptr;  // R
};

// The rules of a kind: more than one where several nodes do the same.
std::span<const LayerRule> linear_rules();
std::span<const LayerRule> convolution_rules();
std::span<const LayerRule> transposed_convolution_rules();
std::span<const LayerRule> embedding_rules();
std::span<const LayerRule> grouped_linear_rules();
std::span<const LayerRule> scale_shift_rules();
std::span<const LayerRule> whole_node_rules();

// The rule for a node; null when there is none.
const LayerRule* rule_of(const Node& node);

}  // namespace detente::autograd
