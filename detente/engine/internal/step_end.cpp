// SPDX-License-Identifier: Apache-2.0
// What every way to the gradient ends with: gradients that overflowed, the loss scale, the solve,
// the report, clipping, and .grad.
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <detente/autograd/passes.h>
#include <detente/core/error.h>
#include <detente/engine/internal/step.h>

#include <algorithm>
#include <cmath>

namespace detente::engine {

void MultiTaskBackward::Impl::finish(const Ending& ending) {
  const at::NoGradGuard no_grad;
  if (overflowed()) {
    skip();
    report.backward_ms = ending.passes_ms;
    return;
  }
  unscale();
  if (ending.solve) ending.solve();
  const Stopwatch rest;
  const double squared = ending.length();
  if (loss_scale > 1.0 && !std::isfinite(squared)) {
    skip();
    return;
  }
  report.direction_norm = std::sqrt(squared);
  if (!ending.own_weighted) scale_own();
  check_total_norm(squared);
  ending.write(report.clip_factor / report.loss_scale);
  write_own(report.clip_factor);
  report.backward_ms = ending.passes_ms + rest.milliseconds();
}

// Whether gradients of scaled losses left the range of numbers. At scale 1 that is an error like
// any other.
bool MultiTaskBackward::Impl::overflowed() const {
  if (loss_scale <= 1.0) return false;
  for (std::size_t i = 0; i < formed.gram.rows(); ++i) {
    if (!std::isfinite(formed.gram(i, i))) return true;
  }
  for (const auto& list : formed.own_gradients) {
    if (!std::isfinite(autograd::squared_norm(list))) return true;
  }
  return false;
}

// Nothing is written, the next step tries a smaller scale.
void MultiTaskBackward::Impl::skip() {
  clear_all();
  report.skipped = true;
  loss_scale /= 2;
  good_steps = 0;
}

// Gradients formed from scaled losses become those of the losses. The factor is a power of two.
void MultiTaskBackward::Impl::unscale() {
  if (loss_scale == 1.0) return;
  const double square = 1.0 / (loss_scale * loss_scale);
  const auto shrink = [&](Matrix& gram) {
    for (std::size_t i = 0; i < gram.rows() * gram.cols(); ++i) gram.data()[i] *= square;
  };
  shrink(formed.gram);
  for (Matrix& gram : formed.group_grams) shrink(gram);
  for (const auto& list : formed.own_gradients) {
    for (at::Tensor gradient : list) {
      if (gradient.defined()) gradient.mul_(1.0 / loss_scale);
    }
  }
}

void MultiTaskBackward::Impl::check_gram() const {
  for (std::size_t i = 0; i < present.size(); ++i) {
    DETENTE_CHECK(std::isfinite(formed.gram(i, i)),
                  ErrorCode::kNumeric,
                  "[engine::MultiTaskBackward] the gradient of task '{}' is not finite although "
                  "its loss is {}. Look for square roots or logarithms at 0 in it.",
                  names()[present[i]],
                  report.losses[present[i]]);
  }
}

// The tasks' places among all.
void MultiTaskBackward::Impl::take_solution(const solver::Solution& solution) {
  for (std::size_t i = 0; i < present.size(); ++i) {
    report.weights[present[i]] = solution.weights[i];
  }
  for (const auto& weights : solution.by_group) {
    report.group_weights.emplace_back(tasks(), 0.0);
    for (std::size_t i = 0; i < present.size(); ++i) {
      report.group_weights.back()[present[i]] = weights[i];
    }
  }
  report.stop = solution.stop;
  report.iterations = solution.iterations;
  report.certificate = solution.certificate;
  report.message = solution.message;
}

void MultiTaskBackward::Impl::fill_diagnosis() {
  const std::size_t k = tasks();
  report.diagnosed = true;
  report.gram = Matrix(k, k, kNan);
  report.cosines = Matrix(k, k, kNan);
  report.gradient_norms.assign(k, kNan);
  for (std::size_t i = 0; i < present.size(); ++i) {
    report.gradient_norms[present[i]] = std::sqrt(formed.gram(i, i));
    for (std::size_t j = 0; j < present.size(); ++j) {
      report.gram(present[i], present[j]) = formed.gram(i, j);
      const double scale = std::sqrt(formed.gram(i, i)) * std::sqrt(formed.gram(j, j));
      if (scale > 0) report.cosines(present[i], present[j]) = formed.gram(i, j) / scale;
      if (i != j && formed.gram(i, j) < 0) report.conflict = true;
    }
  }
  for (std::size_t g = 0; due && g < group_names.size() && !groups.empty(); ++g) {
    report.groups.push_back({group_names[g], Matrix(k, k, kNan)});
    GroupGram& group = report.groups.back();
    for (std::size_t i = 0; i < present.size(); ++i) {
      for (std::size_t j = 0; j < present.size(); ++j) {
        // Groups of frozen parameters alone may be missing at the end.
        group.gram(present[i], present[j]) =
            g < formed.group_grams.size() ? formed.group_grams[g](i, j) : 0.0;
      }
    }
  }
}

// With `factor` in every weight.
autograd::ParameterWeights MultiTaskBackward::Impl::parameter_weights(double factor) const {
  const solver::Solution& found = solver.solution();
  autograd::ParameterWeights weights{.lists = {found.weights}};
  if (solver.by_group()) weights = {.lists = found.by_group, .group_of = groups};
  for (auto& list : weights.lists) {
    for (double& w : list) w *= factor;
  }
  return weights;
}

bool MultiTaskBackward::Impl::heads_weighted() const {
  return options.heads_weighted(solver.method().method_class());
}

double MultiTaskBackward::Impl::own_factor(std::size_t i) const {
  return heads_weighted() ? solver.solution().weights[i] : 1.0;
}

void MultiTaskBackward::Impl::scale_own() {
  for (std::size_t i = 0; i < present.size(); ++i) {
    const double factor = own_factor(i);
    if (factor == 1.0) continue;
    for (auto& gradient : formed.own_gradients[i]) {
      if (gradient.defined()) gradient.mul_(factor);
    }
  }
}

// Sets clip_factor; the last thing that can fail, so it comes before anything is written.
// own_gradients already carry their weights.
void MultiTaskBackward::Impl::check_total_norm(double shared_squared) {
  if (options.clip_norm <= 0.0) return;
  double squared = shared_squared;
  for (const auto& list : formed.own_gradients) squared += autograd::squared_norm(list);
  report.total_norm = std::sqrt(squared);
  DETENTE_CHECK(std::isfinite(report.total_norm),
                ErrorCode::kNumeric,
                "[engine::MultiTaskBackward] the gradient is not finite (norm {}) although every "
                "loss is. Look for square roots or logarithms at 0, or lower the learning rate.",
                report.total_norm);
  if (report.total_norm > options.clip_norm) {
    report.clip_factor = options.clip_norm / report.total_norm;
  }
}

void MultiTaskBackward::Impl::make_direction() {
  if (shared.empty() || direction.defined() || low_memory()) return;
  direction = at::empty({layout.size()}, shared[0].options().requires_grad(false));
}

// The weighted sum of what `by` formed into .grad; without weights what stands in `spare`.
void MultiTaskBackward::Impl::write_formed(Strategy by,
                                           const autograd::ParameterWeights* weights,
                                           double factor) {
  if (by == Strategy::kLockstep) {
    write_shared(weighted_passes(), factor);
    return;
  }
  tensor::clear_gradients(all_shared);
  if (shared.empty()) return;
  std::vector<autograd::TaskBlocks::TableGradient> tables;
  if (weights == nullptr) {
    std::swap(direction, spare);
    if (report.clip_factor != 1.0) direction.mul_(report.clip_factor);
  } else {
    formed.combine(*weights, direction, options.sparse_tables ? &tables : nullptr);
  }
  layout.share_as_gradients(direction, shared);
  for (const auto& table : tables) {
    at::Tensor gradient = at::sparse_coo_tensor(table.ids.unsqueeze(0),
                                                table.values,
                                                shared[table.parameter].sizes(),
                                                table.values.options().layout(at::kSparse));
    shared[table.parameter].mutable_grad() = gradient._coalesced_(true);
  }
  for (std::size_t j = 0; j < shared.size(); ++j) {
    if (!formed.reached[j]) shared[j].mutable_grad().reset();
  }
}

// One gradient per shared parameter, undefined where no task reaches it.
void MultiTaskBackward::Impl::write_shared(TensorList found, double factor) {
  tensor::clear_gradients(all_shared);
  for (std::size_t i = 0; i < shared.size(); ++i) {
    if (!found[i].defined()) continue;
    if (factor != 1.0) found[i].mul_(factor);
    shared[i].mutable_grad() = std::move(found[i]);
  }
}

void MultiTaskBackward::Impl::write_own(double factor) {
  for (const auto& list : all_own) tensor::clear_gradients(list);
  for (std::size_t i = 0; i < own.size(); ++i) {
    for (std::size_t j = 0; j < own[i].size(); ++j) {
      at::Tensor& gradient = formed.own_gradients[i][j];
      if (!gradient.defined()) continue;
      if (factor != 1.0) gradient.mul_(factor);
      own[i][j].mutable_grad() = std::move(gradient);
    }
  }
}

// The direction by passes through the whole model, one per group of weights; still scaled.
TensorList MultiTaskBackward::Impl::weighted_passes() {
  const autograd::ParameterWeights weights = parameter_weights(loss_scale);
  if (!solver.by_group()) {
    return autograd::owned(
        autograd::weighted_gradients(losses, weights.lists[0], shared, /*keep_graph=*/false),
        shared);
  }
  TensorList result(shared.size());
  const int last = *std::max_element(groups.begin(), groups.end());
  for (int g = 0; g <= last; ++g) {
    TensorList part;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < shared.size(); ++i) {
      if (groups[i] != g) continue;
      part.push_back(shared[i]);
      places.push_back(i);
    }
    if (part.empty()) continue;
    TensorList found = autograd::owned(
        autograd::weighted_gradients(
            losses, weights.lists[static_cast<std::size_t>(g)], part, /*keep_graph=*/g < last),
        part);
    for (std::size_t j = 0; j < found.size(); ++j) result[places[j]] = std::move(found[j]);
  }
  return result;
}

void MultiTaskBackward::Impl::end_step() {
  ++steps;
  if (options.loss_scaling == MultiTaskOptions::LossScaling::kNone || report.skipped) return;
  constexpr std::int64_t kGoodSteps = 2000;
  constexpr double kLargest = 16777216.0;  // 2^24: fp16 ends at 65504
  if (++good_steps < kGoodSteps) return;
  good_steps = 0;
  loss_scale = std::min(2 * loss_scale, kLargest);
}

}  // namespace detente::engine
