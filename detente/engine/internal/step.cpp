// SPDX-License-Identifier: Apache-2.0
#include <detente/autograd/passes.h>
#include <detente/core/error.h>
#include <detente/engine/internal/step.h>

#include <algorithm>
#include <cmath>
#include <unordered_set>

namespace detente::engine {

using internal::kNan;
using internal::Stopwatch;
using internal::trainable;

namespace {

bool same_tensors(const TensorList& a, const TensorList& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!a[i].is_same(b[i])) return false;
  }
  return true;
}

}  // namespace

void MultiTaskBackward::Impl::check_parameters() const {
  DETENTE_CHECK(!names.empty(),
                ErrorCode::kInvalidArgument,
                "[engine::MultiTaskBackward] there is no task; expected at least one name.");
  DETENTE_CHECK(method != nullptr,
                ErrorCode::kInvalidArgument,
                "[engine::MultiTaskBackward] there is no method; make one with "
                "balance::make_method.");
  DETENTE_CHECK(all_own.empty() || all_own.size() == names.size(),
                ErrorCode::kShape,
                "[engine::MultiTaskBackward] expected {} lists of task parameters (or none), got "
                "{}.",
                names.size(),
                all_own.size());
  DETENTE_CHECK(options.strategy != Strategy::kWeighted || needs_losses_only(),
                ErrorCode::kInvalidArgument,
                "[engine::MultiTaskBackward] method '{}' needs the gradient of each task (class "
                "{}); strategy weighted cannot give it. Use auto or sequential.",
                method->name(),
                balance::name_of(method->method_class()));
  std::unordered_set<const void*> seen;
  const auto check = [&](const TensorList& list, const std::string& what) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      DETENTE_CHECK(list[i].defined() && list[i].is_leaf(),
                    ErrorCode::kInvalidArgument,
                    "[engine::MultiTaskBackward] {} parameter {} is not a leaf of the graph; "
                    "expected parameters, not results.",
                    what,
                    i);
      DETENTE_CHECK(seen.insert(list[i].unsafeGetTensorImpl()).second,
                    ErrorCode::kInvalidArgument,
                    "[engine::MultiTaskBackward] {} parameter {} is listed twice; expected each "
                    "parameter once, either as shared or as one task's own.",
                    what,
                    i);
    }
  };
  check(all_shared, "shared");
  for (std::size_t k = 0; k < all_own.size(); ++k) check(all_own[k], "task '" + names[k] + "'");
}

// What is of one step starts empty.
void MultiTaskBackward::Impl::start_report() {
  report = StepReport{};
  report.losses.assign(tasks(), kNan);
  report.weights.assign(tasks(), 0.0);
  report.direction_norm = kNan;
  report.total_norm = kNan;
  report.certificate = kNan;
  report.estimate_cosine = kNan;
  report.loss_scale = loss_scale;
  present.clear();
  losses.clear();
  own.clear();
  formed.own_gradients.clear();
  group_weights.clear();
  groups.clear();
  due = diagnosis_due();
  for (std::size_t i = 0; (due || by_group()) && i < group_of.size(); ++i) {
    if (all_shared[i].requires_grad()) groups.push_back(group_of[i]);
  }
}

void MultiTaskBackward::Impl::begin(std::span<const at::Tensor> given) {
  const std::size_t k = tasks();
  DETENTE_CHECK(given.size() == k,
                ErrorCode::kShape,
                "[engine::MultiTaskBackward] expected {} losses, got {}. An absent task is an "
                "undefined tensor.",
                k,
                given.size());
  start_report();
  for (std::size_t i = 0; i < k; ++i) {
    if (!given[i].defined()) continue;
    DETENTE_CHECK(given[i].numel() == 1,
                  ErrorCode::kShape,
                  "[engine::MultiTaskBackward] the loss of task '{}' has {} numbers; expected one.",
                  names[i],
                  given[i].numel());
    report.losses[i] = given[i].item<double>();
    DETENTE_CHECK(std::isfinite(report.losses[i]),
                  ErrorCode::kNumeric,
                  "[engine::MultiTaskBackward] the loss of task '{}' is {}; expected a finite "
                  "number. Look at its targets, or lower the learning rate.",
                  names[i],
                  report.losses[i]);
    DETENTE_CHECK(given[i].requires_grad(),
                  ErrorCode::kInvalidArgument,
                  "[engine::MultiTaskBackward] the loss of task '{}' depends on no trainable "
                  "parameter. Leave the task out (an undefined tensor).",
                  names[i]);
    present.push_back(i);
    losses.push_back(given[i]);
    own.push_back(all_own.empty() ? TensorList{} : trainable(all_own[i]));
  }
  report.present = present.size();
  TensorList now = trainable(all_shared);
  if (!same_tensors(now, shared)) {
    layout = tensor::FlatLayout(now);
    shared = std::move(now);
    direction.reset();
    spare.reset();
  }
  translate_rows();
  if (!covers_present(given_cross)) given_cross = {};
}

// The caller names tasks by their place among all; strategies know the present ones.
void MultiTaskBackward::Impl::translate_rows() {
  std::vector<std::int64_t> place(tasks(), -1);
  for (std::size_t i = 0; i < present.size(); ++i) {
    place[present[i]] = static_cast<std::int64_t>(i);
  }
  rows.clear();
  for (const std::int64_t task : given_rows) {
    rows.push_back(task < 0 ? -1 : place[static_cast<std::size_t>(task)]);
  }
}

// The method sees the present tasks, and which of all tasks they are.
balance::Problem MultiTaskBackward::Impl::make_problem(MatrixView gram, Rng* rng) {
  problem_losses.clear();
  problem_names.clear();
  problem_ids = present;
  for (const std::size_t i : present) {
    problem_losses.push_back(report.losses[i]);
    problem_names.push_back(names[i]);
  }
  balance::Problem problem{.tasks = present.size(),
                           .gram = gram,
                           .losses = problem_losses,
                           .names = problem_names,
                           .rng = rng};
  if (present.size() < tasks()) {
    problem.ids = problem_ids;
    problem.all_tasks = tasks();
  }
  return problem;
}

Matrix MultiTaskBackward::Impl::of_present(const Matrix& all) const {
  Matrix part(present.size(), present.size());
  for (std::size_t i = 0; i < present.size(); ++i) {
    for (std::size_t j = 0; j < present.size(); ++j) part(i, j) = all(present[i], present[j]);
  }
  return part;
}

// Whether inner products given for all tasks hold those of every task of this step.
bool MultiTaskBackward::Impl::covers_present(const Matrix& all) const {
  return all.rows() > 0 && std::all_of(present.begin(), present.end(), [&](std::size_t i) {
           return std::isfinite(all(i, i));
         });
}

void MultiTaskBackward::Impl::solve(MatrixView gram, Rng& rng) {
  if (by_group()) {
    solve_by_group(rng);
    return;
  }
  balance::Problem problem = make_problem(needs_losses_only() ? MatrixView{} : gram, &rng);
  if (given_cross.rows() > 0 && method->needs() == balance::MethodClass::kCross) {
    small_cross = of_present(given_cross);
    problem.cross = small_cross;
  }
  const Stopwatch watch;
  method->solve(problem, result);
  report.solve_ms = watch.milliseconds();
  take_result(gram);
}

// Every group of parameters is a problem of its own.
void MultiTaskBackward::Impl::solve_by_group(Rng& rng) {
  const Stopwatch watch;
  std::vector<double> sizes(group_methods.size());
  for (std::size_t i = 0; i < shared.size(); ++i) {
    sizes[static_cast<std::size_t>(groups[i])] += static_cast<double>(shared[i].numel());
  }
  // Groups of frozen parameters alone may be missing at the end.
  formed.group_grams.resize(group_methods.size(), Matrix(present.size(), present.size()));
  small_weights.assign(present.size(), 0.0);
  const double total = static_cast<double>(std::max<std::int64_t>(1, layout.size()));
  for (std::size_t g = 0; g < group_methods.size(); ++g) {
    const Matrix& gram = formed.group_grams[g];
    balance::Problem problem = make_problem(gram, &rng);
    group_methods[g]->solve(problem, result);
    std::vector<double> weights = result.weights;
    const double scale = scale_of(weights, gram);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      weights[i] *= scale;
      small_weights[i] += sizes[g] / total * weights[i];
    }
    group_weights.push_back(std::move(weights));
    report.group_weights.emplace_back(tasks(), 0.0);
    for (std::size_t i = 0; i < present.size(); ++i) {
      report.group_weights[g][present[i]] = group_weights[g][i];
    }
    take_certificate(result);
  }
  report.solve_ms = watch.milliseconds();
  for (std::size_t i = 0; i < present.size(); ++i) {
    report.weights[present[i]] = small_weights[i];
    DETENTE_CHECK(std::isfinite(small_weights[i]),
                  ErrorCode::kNumeric,
                  "[engine::MultiTaskBackward] method '{}' gave task '{}' a weight that is not "
                  "finite in one group of parameters.",
                  group_methods[0]->name(),
                  names[present[i]]);
  }
}

// Of several solves the report shows the worst.
void MultiTaskBackward::Impl::take_certificate(const balance::Result& from) {
  const bool worse = static_cast<int>(from.stop) > static_cast<int>(report.stop);
  if (worse) report.stop = from.stop;
  report.iterations = std::max(report.iterations, from.iterations);
  if (!(report.certificate >= from.certificate)) report.certificate = from.certificate;
  if (report.message.empty() || (worse && !from.message.empty())) report.message = from.message;
}

// A sum or a length that vanishes next to its terms says nothing; the weights then stay as they
// are.
double MultiTaskBackward::Impl::scale_of(const std::vector<double>& w, MatrixView gram) const {
  constexpr double kVanishing = 1e-12;
  const auto k = static_cast<double>(w.size());
  if (options.scale == MultiTaskOptions::Scale::kNative) return 1.0;
  if (options.scale != MultiTaskOptions::Scale::kMeanNorm) {
    double sum = 0;
    double size = 0;
    for (const double x : w) {
      sum += x;
      size += std::abs(x);
    }
    const double wanted = options.scale == MultiTaskOptions::Scale::kSumToOne ? 1.0 : k;
    return sum > kVanishing * size ? wanted / sum : 1.0;
  }
  if (gram.empty()) return 1.0;
  double mean = 0;
  double length = 0;
  double size = 0;
  for (std::size_t i = 0; i < w.size(); ++i) {
    for (std::size_t j = 0; j < w.size(); ++j) {
      mean += gram(i, j) / k / k;
      length += w[i] * w[j] * gram(i, j);
      size += std::abs(w[i] * w[j] * gram(i, j));
    }
  }
  return length > kVanishing * size && mean > 0 ? std::sqrt(mean / length) : 1.0;
}

void MultiTaskBackward::Impl::take_result(MatrixView gram) {
  small_weights = result.weights;
  // Class J methods have written the direction themselves.
  if (method->method_class() != balance::MethodClass::kCoordinates) {
    const double scale = scale_of(small_weights, gram);
    for (double& w : small_weights) w *= scale;
  }
  for (std::size_t i = 0; i < present.size(); ++i) {
    report.weights[present[i]] = small_weights[i];
    DETENTE_CHECK(std::isfinite(small_weights[i]),
                  ErrorCode::kNumeric,
                  "[engine::MultiTaskBackward] method '{}' gave task '{}' the weight {}.",
                  method->name(),
                  names[present[i]],
                  small_weights[i]);
  }
  take_certificate(result);
}

// With `factor` in every weight.
autograd::ParameterWeights MultiTaskBackward::Impl::parameter_weights(double factor) const {
  autograd::ParameterWeights weights{.lists = {small_weights}};
  if (by_group()) weights = {.lists = group_weights, .group_of = groups};
  for (auto& list : weights.lists) {
    for (double& w : list) w *= factor;
  }
  return weights;
}

// ‖Σ_k w_k ∇L_k‖² over the shared parameters.
double MultiTaskBackward::Impl::direction_squared() const {
  if (!by_group()) return internal::squared_length(small_weights, formed.gram);
  double sum = 0;
  for (std::size_t g = 0; g < group_weights.size(); ++g) {
    sum += internal::squared_length(group_weights[g], formed.group_grams[g]);
  }
  return sum;
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

// Whether gradients of scaled losses left the range of numbers. At scale 1 that is an error like
// any other.
bool MultiTaskBackward::Impl::overflowed() {
  if (loss_scale <= 1.0) return false;
  for (std::size_t i = 0; i < formed.gram.rows(); ++i) {
    if (!std::isfinite(formed.gram(i, i))) return true;
  }
  for (const auto& list : formed.own_gradients) {
    if (!std::isfinite(autograd::squared_norm(list))) return true;
  }
  return false;
}

void MultiTaskBackward::Impl::skip() {
  tensor::clear_gradients(all_shared);
  for (const auto& list : all_own) tensor::clear_gradients(list);
  report.skipped = true;
  loss_scale /= 2;
  good_steps = 0;
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

bool MultiTaskBackward::Impl::heads_weighted() const {
  if (options.heads == MultiTaskOptions::HeadGradient::kAuto)
    return method->method_class() == balance::MethodClass::kLoss;
  return options.heads == MultiTaskOptions::HeadGradient::kWeighted;
}

double MultiTaskBackward::Impl::own_factor(std::size_t i) const {
  return heads_weighted() ? small_weights[i] : 1.0;
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

void MultiTaskBackward::Impl::scale_own() {
  for (std::size_t i = 0; i < present.size(); ++i) {
    const double factor = own_factor(i);
    if (factor == 1.0) continue;
    for (auto& gradient : formed.own_gradients[i]) {
      if (gradient.defined()) gradient.mul_(factor);
    }
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

}  // namespace detente::engine
