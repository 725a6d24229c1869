// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/task_blocks.h>
#include <detente/tensor/gram.h>
#include <detente/tensor/weighted_sum.h>

#include <algorithm>

namespace detente::autograd {

void add_to(Matrix& sum, const Matrix& part, double factor) {
  for (std::size_t i = 0; i < part.rows() * part.cols(); ++i) {
    sum.data()[i] += factor * part.data()[i];
  }
}

void TaskBlocks::start(const StepTensors& step) {
  step_.emplace(step);
  own_gradients.assign(step.own.size(), {});
  reached.assign(step.shared.size(), false);
  notice.clear();
  pass_per_task = false;
  ghosts.clear();
  tables.clear();
  blocks_.resize(step.shared.size());
  shares_.start(*step_);
  matrix_.reset();
  kept_ = false;
  start_gram();
}

void TaskBlocks::start_gram() {
  const std::size_t k = step_->losses.size();
  const auto groups = step_->groups;
  const int count = groups.empty() ? 0 : *std::max_element(groups.begin(), groups.end()) + 1;
  gram = Matrix(k, k);
  group_grams.assign(static_cast<std::size_t>(count), Matrix(k, k));
  estimated = false;
  estimate = {};
}

at::Tensor TaskBlocks::make(std::size_t parameter) {
  const at::Tensor& like = step_->shared[parameter];
  const auto k = static_cast<std::int64_t>(step_->losses.size());
  at::Tensor& block = blocks_[parameter];
  kept_ = true;
  if (!block.defined() || block.size(0) != k || block.size(1) != like.numel() ||
      block.device() != like.device() || block.scalar_type() != like.scalar_type()) {
    block = at::empty({k, like.numel()}, like.options().requires_grad(false));
  }
  return block;
}

at::Tensor TaskBlocks::make_matrix() {
  const auto k = static_cast<std::int64_t>(step_->losses.size());
  kept_ = true;
  if (step_->shared.empty()) {
    matrix_ = at::zeros({k, 0});
    return matrix_;
  }
  const auto options = step_->shared[0].options().requires_grad(false);
  const std::int64_t p = step_->layout.size();
  if (!matrix_room_.defined() || matrix_room_.size(0) < k || matrix_room_.size(1) != p ||
      matrix_room_.device() != options.device() || matrix_room_.dtype() != options.dtype()) {
    matrix_room_ = at::empty({k, p}, options);
  }
  matrix_ = matrix_room_.narrow(0, 0, k);
  return matrix_;
}

void TaskBlocks::use_matrix(const at::Tensor& rows) {
  kept_ = true;
  matrix_ = rows;
}

void TaskBlocks::drop(std::size_t parameter) { blocks_[parameter].reset(); }

void TaskBlocks::add(std::size_t parameter, const Matrix& part) {
  add_to(gram, part);
  if (step_->groups.empty()) return;
  add_to(group_grams[static_cast<std::size_t>(step_->groups[parameter])], part);
}

void TaskBlocks::complete(std::size_t parameter) {
  // Processes may form blocks in different ways and orders; they meet in finish().
  if (step_->in_full || step_->spread()) return;
  const at::NoGradGuard no_grad;
  add(parameter, tensor::gram(blocks_[parameter]));
}

void TaskBlocks::complete_matrix() {
  if (step_->in_full) return;
  const at::NoGradGuard no_grad;
  const tensor::FlatLayout& layout = step_->layout;
  if (step_->spread()) {
    if (!step_->coordinates) return;
    step_->group->sum(matrix_);
  }
  start_gram();
  gram = tensor::gram(matrix_);
  // Neighbours of one group in one product.
  const auto groups = step_->groups;
  for (std::size_t first = 0; first < groups.size();) {
    std::size_t end = first + 1;
    while (end < groups.size() && groups[end] == groups[first]) ++end;
    const std::int64_t begin = layout.offset(first);
    const at::Tensor columns = matrix_.narrow(1, begin, layout.end(end - 1) - begin);
    add_to(group_grams[static_cast<std::size_t>(groups[first])], tensor::gram(columns));
    first = end;
  }
}

void TaskBlocks::complete_and_drop(const at::Tensor& rows, const std::vector<int>& parameters) {
  const at::NoGradGuard no_grad;
  add_to(gram, tensor::gram(rows));
  if (step_->groups.empty()) return;
  std::int64_t column = 0;
  for (const int p : parameters) {
    const auto i = static_cast<std::size_t>(p);
    const std::int64_t n = step_->shared[i].numel();
    add_to(group_grams[static_cast<std::size_t>(step_->groups[i])],
           tensor::gram(rows.narrow(1, column, n)));
    column += n;
  }
}

void TaskBlocks::finish() {
  const at::NoGradGuard no_grad;
  if (step_->in_full) return;
  if (step_->spread()) {
    if (!(matrix_.defined() && step_->coordinates)) {
      if (kept_) share_out();
      shares_.settle();
      shares_.add_gram([this](std::size_t parameter, const Matrix& part) { add(parameter, part); });
    }
    agree();
    return;
  }
  for (GhostLayer& ghost : ghosts) ghost.add_gram(*step_, *this);
  for (const EmbeddingTable& table : tables) {
    add(static_cast<std::size_t>(table.weight), tensor::gram(table.values.flatten(1)));
  }
  if (estimate.rows() > 0) add_to(estimate, gram);
}

// Every block becomes this process's columns of the sum.
void TaskBlocks::share_out() {
  const tensor::FlatLayout& layout = step_->layout;
  std::vector<const EmbeddingTable*> table_of(layout.count(), nullptr);
  for (const EmbeddingTable& table : tables) {
    table_of[static_cast<std::size_t>(table.weight)] = &table;
  }
  shares_.exchange([&](const ColumnShares::Bucket& bucket, const at::Tensor& into) {
    if (matrix_.defined()) {
      into.copy_(matrix_.narrow(1, bucket.begin, bucket.columns));
      return;
    }
    for (std::size_t i = bucket.first; i < bucket.end; ++i) {
      const std::int64_t from = std::max(bucket.begin, layout.offset(i));
      const std::int64_t to = std::min(bucket.begin + bucket.columns, layout.end(i));
      if (from >= to) continue;  // a parameter without numbers
      if (table_of[i] != nullptr && !blocks_[i].defined()) {
        table_of[i]->write_to(make(i).unflatten(1, step_->shared[i].sizes()));
      }
      into.narrow(1, from - bucket.begin, to - from)
          .copy_(blocks_[i].narrow(1, from - layout.offset(i), to - from));
    }
  });
  for (std::size_t i = 0; i < table_of.size(); ++i) {
    if (table_of[i] != nullptr) blocks_[i].reset();
  }
  matrix_.reset();
}

void TaskBlocks::share_row(std::size_t task, const at::Tensor& row) {
  shares_.exchange_row(task, row);
}

// Gram matrices of own columns become those of all; a task's own parameters get the sum of what
// the processes have; reached is what any of them reaches.
void TaskBlocks::agree() {
  tensor::Group& group = *step_->group;
  std::vector<double> numbers;
  const auto take_matrix = [&](const Matrix& m) {
    numbers.insert(numbers.end(), m.data(), m.data() + m.rows() * m.cols());
  };
  const bool whole = matrix_.defined() || step_->replicated;  // every process has all columns
  if (!whole) {
    take_matrix(gram);
    for (const Matrix& m : group_grams) take_matrix(m);
  }
  for (const bool one : reached) numbers.push_back(one ? 1.0 : 0.0);
  for (std::size_t k = 0; k < step_->own.size(); ++k) {
    own_gradients[k].resize(step_->own[k].size());
    for (const auto& gradient : own_gradients[k]) numbers.push_back(gradient.defined() ? 1.0 : 0.0);
  }
  group.sum(numbers);
  std::size_t next = 0;
  const auto put_matrix = [&](Matrix& m) {
    for (std::size_t i = 0; i < m.rows() * m.cols(); ++i) m.data()[i] = numbers[next++];
  };
  if (!whole) {
    put_matrix(gram);
    for (Matrix& m : group_grams) put_matrix(m);
  }
  for (std::size_t i = 0; i < reached.size(); ++i) reached[i] = numbers[next++] > 0;
  TensorList there;
  for (std::size_t k = 0; k < step_->own.size(); ++k) {
    for (std::size_t j = 0; j < step_->own[k].size(); ++j) {
      at::Tensor& gradient = own_gradients[k][j];
      if (numbers[next++] == 0) continue;
      if (!gradient.defined()) gradient = at::zeros_like(step_->own[k][j]).detach();
      there.push_back(gradient);
    }
  }
  tensor::sum_all(group, there);
}

at::Tensor TaskBlocks::piece(const at::Tensor& direction, std::size_t parameter) const {
  return direction.narrow(0, step_->layout.offset(parameter), step_->shared[parameter].numel());
}

void TaskBlocks::combine(const ParameterWeights& weights,
                         at::Tensor& direction,
                         std::vector<TableGradient>* table_gradients) const {
  const at::NoGradGuard no_grad;
  if (matrix_.defined()) {
    combine_matrix(weights, direction);
    return;
  }
  if (step_->spread()) {
    shares_.combine(weights, direction);
    return;
  }
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    if (!blocks_[i].defined()) continue;
    at::Tensor target = piece(direction, i);
    tensor::weighted_sum(blocks_[i], weights.of(i), target);
  }
  for (const GhostLayer& ghost : ghosts) combine_ghost(ghost, weights, direction);
  for (const EmbeddingTable& table : tables) {
    const auto w = static_cast<std::size_t>(table.weight);
    const at::Tensor& weight = step_->shared[w];
    const at::Tensor values = table.values.flatten(1);
    at::Tensor sum = at::empty({values.size(1)}, values.options());
    tensor::weighted_sum(values, weights.of(w), sum);
    sum = sum.view({table.ids.numel(), weight.size(1)});
    if (table_gradients != nullptr) {
      table_gradients->push_back({w, table.ids, std::move(sum)});
    } else {
      piece(direction, w).view(weight.sizes()).zero_().index_copy_(0, table.ids, sum);
    }
  }
}

void TaskBlocks::combine_matrix(const ParameterWeights& weights, at::Tensor& direction) const {
  const tensor::FlatLayout& layout = step_->layout;
  for (std::size_t first = 0; first < layout.count();) {
    std::size_t end = first + 1;
    while (end < layout.count() && weights.same(first, end)) ++end;
    const std::int64_t begin = layout.offset(first);
    const std::int64_t size = layout.end(end - 1) - begin;
    at::Tensor target = direction.narrow(0, begin, size);
    const at::Tensor rows = matrix_.narrow(1, begin, size);
    const std::vector<double>& w = weights.of(first);
    if (w.size() == 1 && w[0] == 1.0) {
      target.copy_(rows[0]);
    } else {
      tensor::weighted_sum(rows, w, target);
    }
    first = end;
  }
}

void TaskBlocks::combine_ghost(const GhostLayer& ghost,
                               const ParameterWeights& weights,
                               at::Tensor& direction) const {
  const auto w = static_cast<std::size_t>(ghost.weight);
  const at::Tensor sum = ghost.weighted(weights.of(w));
  at::Tensor target = piece(direction, w);
  if (sum.defined()) {
    target = target.view({sum.size(1), ghost.rows.size(1)});
    at::mm_out(target, sum.t(), ghost.rows);
  } else {
    target.zero_();
  }
  if (ghost.bias < 0) return;
  const auto b = static_cast<std::size_t>(ghost.bias);
  const at::Tensor bias_sum = weights.same(w, b) ? sum : ghost.weighted(weights.of(b));
  at::Tensor bias = piece(direction, b);
  if (bias_sum.defined()) {
    at::sum_out(bias, bias_sum, {0}, /*keepdim=*/false, c10::nullopt);
  } else {
    bias.zero_();
  }
}

void TaskBlocks::write_to(const at::Tensor& rows) const {
  const at::NoGradGuard no_grad;
  if (matrix_.defined()) {
    at::Tensor(rows).copy_(matrix_);
    return;
  }
  const auto columns = [&](std::size_t i) {
    return rows.narrow(1, step_->layout.offset(i), step_->shared[i].numel());
  };
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    if (blocks_[i].defined()) columns(i).copy_(blocks_[i]);
  }
  for (const EmbeddingTable& table : tables) {
    const auto w = static_cast<std::size_t>(table.weight);
    table.write_to(columns(w).unflatten(1, step_->shared[w].sizes()));
  }
}

void TaskBlocks::release() {
  step_.reset();
  ghosts.clear();
  tables.clear();
  shares_.clear();
  matrix_.reset();
  own_gradients.clear();
  gram = {};
  group_grams.clear();
  kept_ = false;
}

}  // namespace detente::autograd
