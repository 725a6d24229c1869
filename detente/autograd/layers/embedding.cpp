// SPDX-License-Identifier: Apache-2.0
// Tables of embeddings, looked up by index. Their gradients are kept for the entries alone that a
// batch touches, see embedding_table.h.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <detente/autograd/embedding_table.h>
#include <detente/autograd/layers/segments.h>
#include <detente/tensor/graph_compat.h>
#include <torch/csrc/autograd/generated/Functions.h>

#include <algorithm>
#include <vector>

namespace detente::autograd {
namespace {

namespace gen = torch::autograd::generated;

bool counts_no_frequencies(const Node& node) {
  return !static_cast<const gen::EmbeddingBackward0&>(node).scale_grad_by_freq;
}

LayerInput read_embedding(const LayerUse& use, const TensorList&) {
  const auto& node = static_cast<const gen::EmbeddingBackward0&>(*use.node);
  LayerInput layer;
  layer.input = node.indices_.unpack();
  layer.padding_index = tensor::as_int(node.padding_idx);
  return layer;
}

// table[ids] and table.index_select(0, ids) look up as an embedding does.
bool selects_rows(const Node& node) {
  const auto& select = static_cast<const gen::IndexSelectBackward0&>(node);
  return select.dim == 0 && select.self_sym_sizes.size() == 2;
}

LayerInput read_selected(const LayerUse& use, const TensorList&) {
  return {.input = static_cast<const gen::IndexSelectBackward0&>(*use.node).index_.unpack()};
}

bool indexes_rows(const Node& node) {
  const auto& index = static_cast<const gen::IndexBackward0&>(node);
  if (index.self_sym_sizes.size() != 2 || index.indices_.empty()) return false;
  for (std::size_t d = 1; d < index.indices_.size(); ++d) {
    if (index.indices_[d].unpack().defined()) return false;
  }
  const at::Tensor ids = index.indices_[0].unpack();
  return ids.defined() && ids.scalar_type() != at::kBool && ids.scalar_type() != at::kByte;
}

LayerInput read_indexed(const LayerUse& use, const TensorList&) {
  const auto& index = static_cast<const gen::IndexBackward0&>(*use.node);
  const at::Tensor ids = index.indices_[0].unpack().to(at::kLong);
  return {.input = at::where(ids < 0, ids + tensor::as_int(index.self_sym_sizes[0]), ids)};
}

// Whole, for a table that is used in another way as well (a tied output layer, say).
void embedding_task_gradients(const LayerUse& use,
                              const LayerInput& layer,
                              const at::Tensor& gradient,
                              const ExampleTasks& examples,
                              const TaskBlock& weight,
                              const TaskBlock&) {
  if (!weight.rows.defined()) return;
  at::Tensor rows = weight.rows;
  if (!weight.add) rows.zero_();
  add_task_rows(rows.view({rows.size(0), -1, gradient.size(-1)}),
                gradient,
                embedding_ids(layer),
                examples,
                use.inner);
}

// Σ_rs [id_ir = id_js] δ_ir·δ_js.
void embedding_row_products(const LayerUse& use,
                            const ExampleGradients& a,
                            const ExampleGradients& b,
                            at::Tensor& products) {
  struct Looked {
    at::Tensor ids;       // [N, R]
    at::Tensor gradient;  // [N, R, d]
  };
  const auto looked = [&](const ExampleGradients& of) {
    const std::int64_t width = of.gradient.size(-1);
    const at::Tensor flat = of.gradient.reshape({-1, width});
    // The ids lie as the output's rows do.
    const at::Tensor ids = embedding_ids(of.layer).view({-1, 1});
    return Looked{by_example(ids, use.inner / width, of.examples).squeeze(2),
                  by_example(flat, use.inner, of.examples)};
  };
  const Looked right = looked(b);
  const Looked left = looked(a);
  if (left.ids.numel() == 0 || right.ids.numel() == 0) return;
  constexpr std::int64_t kNumbers = std::int64_t{1} << 22;
  const std::int64_t together =
      std::max<std::int64_t>(1, kNumbers / (left.ids.size(1) * right.ids.numel()));
  const at::Tensor right_ids = right.ids.reshape({1, -1});
  const at::Tensor right_rows = right.gradient.flatten(0, 1).t();
  for (std::int64_t i = 0; i < a.examples; i += together) {
    const std::int64_t count = std::min(together, a.examples - i);
    const at::Tensor ids = left.ids.narrow(0, i, count).reshape({-1, 1});
    const at::Tensor same = ids.eq(right_ids).logical_and(ids.ge(0));
    const at::Tensor rows = left.gradient.narrow(0, i, count).flatten(0, 1);
    const at::Tensor sums =
        (rows.mm(right_rows) * same)
            .view({count, left.ids.size(1), right.ids.size(0), right.ids.size(1)})
            .sum({1, 3});
    products.narrow(0, i, count).add_(sums.to(products.scalar_type()));
  }
}

at::Tensor embedding_moved(const LayerUse&,
                           const LayerInput& layer,
                           const at::Tensor& table,
                           const at::Tensor&) {
  const at::Tensor ids = embedding_ids(layer).flatten();
  const at::Tensor rows = table.index_select(0, ids.clamp_min(0));
  return rows * ids.ge(0).to(rows.scalar_type()).unsqueeze(1);
}

}  // namespace

std::span<const LayerRule> embedding_rules() {
  static const auto rules = [] {
    std::vector<LayerRule> all;
    const auto add = [&](const char* node, auto applies, auto read) {
      all.push_back({.kind = LayerKind::kEmbedding,
                     .node = node,
                     .weight_edge = 0,
                     .applies = applies,
                     .read = read,
                     .task_gradients = embedding_task_gradients,
                     .row_products = embedding_row_products,
                     .moved = embedding_moved});
    };
    add("EmbeddingBackward0", counts_no_frequencies, read_embedding);
    add("IndexSelectBackward0", selects_rows, read_selected);
    add("IndexBackward0", indexes_rows, read_indexed);
    return all;
  }();
  return rules;
}

}  // namespace detente::autograd
