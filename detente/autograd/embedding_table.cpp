// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/embedding_table.h>

#include <algorithm>

namespace detente::autograd {
namespace {

// Entries -1 count as padding.
void add_rows(at::Tensor values, const at::Tensor& gradient, const at::Tensor& places) {
  values.add_(at::embedding_dense_backward(gradient.reshape({places.numel(), -1}),
                                           places,
                                           values.size(0),
                                           /*padding_idx=*/-1,
                                           /*scale_grad_by_freq=*/false));
}

}  // namespace

void add_task_rows(const at::Tensor& values,
                   const at::Tensor& gradient,
                   const at::Tensor& entries,
                   const ExampleTasks& examples,
                   std::int64_t inner) {
  at::Tensor tasks = at::empty({examples.size()}, at::kLong);
  std::copy(examples.task_of.begin(), examples.task_of.end(), tasks.data_ptr<std::int64_t>());
  const std::int64_t within = inner / gradient.size(-1);
  const std::int64_t outer = entries.numel() / (within * examples.size());
  tasks = tasks.to(entries.device())
              .view({1, -1, 1})
              .expand({outer, examples.size(), within})
              .reshape(-1);
  const at::Tensor dropped = (entries < 0).logical_or(tasks < 0);
  add_rows(
      values.flatten(0, 1), gradient, (entries + tasks * values.size(1)).masked_fill(dropped, -1));
}

at::Tensor embedding_ids(const LayerInput& layer) {
  const at::NoGradGuard no_grad;
  const at::Tensor ids = layer.input.reshape(-1);
  if (layer.padding_index < 0) return ids;
  return ids.masked_fill(ids == layer.padding_index, -1);
}

void EmbeddingTable::prepare(const std::vector<LayerInput>& inputs,
                             const at::Tensor& table,
                             std::int64_t tasks) {
  TensorList looked_up;
  for (const std::size_t u : uses) looked_up.push_back(embedding_ids(inputs[u]));
  const at::Tensor all = looked_up.size() == 1 ? looked_up[0] : at::cat(looked_up);
  at::Tensor inverse;
  std::tie(ids, inverse, std::ignore) = at::_unique2(all, /*sorted=*/true, /*return_inverse=*/true);
  // Padding sorts first.
  if (ids.numel() > 0 && ids[0].item<std::int64_t>() < 0) {
    ids = ids.slice(0, 1);
    inverse = inverse - 1;
  }
  std::int64_t before = 0;
  for (std::size_t j = 0; j < uses.size(); ++j) {
    places.push_back(inverse.narrow(0, before, looked_up[j].numel()));
    before += looked_up[j].numel();
  }
  values = at::zeros({tasks, ids.numel(), table.size(1)}, table.options().requires_grad(false));
}

at::Tensor EmbeddingTable::places_of(std::size_t use) const {
  const auto found = std::find(uses.begin(), uses.end(), use);
  return places[static_cast<std::size_t>(found - uses.begin())];
}

void EmbeddingTable::add(std::size_t use, const at::Tensor& gradient, std::int64_t task) {
  add_rows(values[task], gradient, places_of(use));
}

void EmbeddingTable::add(std::size_t use,
                         const at::Tensor& gradient,
                         const ExampleTasks& examples,
                         std::int64_t inner) {
  add_task_rows(values, gradient, places_of(use), examples, inner);
}

void EmbeddingTable::write_to(const at::Tensor& all) const {
  all.zero_();
  at::Tensor(all).index_copy_(1, ids, values);
}

}  // namespace detente::autograd
