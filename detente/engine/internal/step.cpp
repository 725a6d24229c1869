// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/engine/internal/step.h>
#include <detente/tensor/gram.h>

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

void MultiTaskBackward::Impl::begin(std::span<const at::Tensor> given) {
  const std::size_t k = tasks();
  DETENTE_CHECK(given.size() == k,
                ErrorCode::kShape,
                "[engine::MultiTaskBackward] expected {} losses, got {}. An absent task is an "
                "undefined tensor.",
                k,
                given.size());
  report = StepReport{};
  report.losses.assign(k, kNan);
  report.weights.assign(k, 0.0);
  report.direction_norm = kNan;
  report.total_norm = kNan;
  report.certificate = kNan;
  report.estimate_cosine = kNan;
  present.clear();
  losses.clear();
  own.clear();
  formed.own_gradients.clear();
  groups.clear();
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

// A sum or a length that vanishes next to its terms says nothing; the weights then stay as they
// are.
double MultiTaskBackward::Impl::scale_of(MatrixView gram) const {
  constexpr double kVanishing = 1e-12;
  const std::vector<double>& w = result.weights;
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
    const double scale = scale_of(gram);
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
  report.stop = result.stop;
  report.iterations = result.iterations;
  report.certificate = result.certificate;
  report.message = result.message;
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
  for (const auto& list : formed.own_gradients) {
    for (const auto& gradient : list) {
      if (gradient.defined()) squared += tensor::squared_norm(gradient);
    }
  }
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
void MultiTaskBackward::Impl::write_shared(TensorList found) {
  tensor::clear_gradients(all_shared);
  for (std::size_t i = 0; i < shared.size(); ++i) {
    if (!found[i].defined()) continue;
    if (report.clip_factor != 1.0) found[i].mul_(report.clip_factor);
    shared[i].mutable_grad() = std::move(found[i]);
  }
}

}  // namespace detente::engine
