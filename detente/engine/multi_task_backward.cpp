// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/tensor/compat.h>
#include <detente/tensor/flatten.h>
#include <detente/tensor/gram.h>
#include <torch/csrc/autograd/autograd.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <unordered_set>

namespace detente::engine {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

class Stopwatch {
 public:
  double milliseconds() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_)
        .count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

TensorList trainable(const TensorList& parameters) {
  TensorList result;
  for (const auto& parameter : parameters) {
    if (parameter.requires_grad()) result.push_back(parameter);
  }
  return result;
}

bool same_tensors(const TensorList& a, const TensorList& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!a[i].is_same(b[i])) return false;
  }
  return true;
}

// Gradients of Σ_i factors[i]·losses[i]; undefined where the losses do not reach a parameter.
TensorList gradients(const TensorList& losses,
                     const std::vector<double>& factors,
                     const TensorList& parameters,
                     bool keep_graph) {
  TensorList starts;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    starts.push_back(at::full_like(losses[i], factors[i]));
  }
  return torch::autograd::grad(losses,
                               parameters,
                               starts,
                               keep_graph,
                               /*create_graph=*/false,
                               /*allow_unused=*/true);
}

// A gradient may be an expanded tensor or lie in memory that others see (the graph hands the same
// tensor to both arguments of a sum); .grad must be its parameter's own.
at::Tensor owned(const at::Tensor& gradient, const at::Tensor& parameter) {
  if (!gradient.defined()) return gradient;
  const bool alone = gradient.use_count() == 1 && gradient.storage().use_count() == 1;
  if (alone && gradient.is_contiguous() && !gradient.requires_grad()) return gradient;
  return gradient.detach().clone(at::MemoryFormat::Contiguous).view(parameter.sizes());
}

}  // namespace

const char* name_of(Strategy strategy) {
  switch (strategy) {
    case Strategy::kAuto:
      return "auto";
    case Strategy::kWeighted:
      return "weighted";
    case Strategy::kSequential:
      return "sequential";
  }
  return "?";
}

void MultiTaskOptions::describe(FieldVisitor& visitor) {
  visitor.choice("strategy",
                 strategy,
                 {{"auto", Strategy::kAuto},
                  {"weighted", Strategy::kWeighted},
                  {"sequential", Strategy::kSequential}},
                 "weighted: one backward pass of the weighted loss, for methods that need losses "
                 "only; sequential: one pass per task and the exact Gram matrix; auto: weighted "
                 "where it is enough.");
  visitor.choice("heads",
                 heads,
                 {{"auto", HeadGradient::kAuto},
                  {"own_loss", HeadGradient::kOwnLoss},
                  {"weighted", HeadGradient::kWeighted}},
                 "What a task's own parameters receive: the gradient of their loss, or the task's "
                 "weight times it; auto: weighted for methods that need losses only, own_loss for "
                 "the others.");
  visitor.integer("diagnose_every",
                  diagnose_every,
                  {.min = 0},
                  "Every n-th step measures the Gram matrix and the cosines even where the method "
                  "does not need them; 0: never.");
  visitor.number("clip_norm",
                 clip_norm,
                 {.min = 0},
                 "Largest norm over all gradients written in a step; 0: no clipping.");
}

struct MultiTaskBackward::Impl {
  // The graph belongs to the caller's losses; holding them after the call, or after an exception,
  // would keep it alive.
  struct Release {
    Impl& impl;
    ~Release() {
      impl.losses.clear();
      impl.own_gradients.clear();
    }
  };

  TensorList all_shared;
  std::vector<TensorList> all_own;
  std::shared_ptr<balance::Method> method;
  std::vector<std::string> names;
  MultiTaskOptions options;
  std::int64_t steps = 0;

  // Of this step.
  StepReport report;
  TensorList shared;  // trainable ones
  tensor::FlatLayout layout;
  std::vector<std::size_t> present;
  TensorList losses;            // of the present tasks
  std::vector<TensorList> own;  // trainable ones of each present task
  std::vector<TensorList> own_gradients;
  std::vector<bool> reached;  // shared parameters that some present task depends on
  Matrix small_gram;          // of the present tasks
  std::vector<double> small_weights;

  // Kept between steps.
  at::Tensor jacobian;   // [K, P]
  at::Tensor direction;  // [P]; the memory behind .grad
  std::vector<double> last_losses;
  balance::Result result;
  std::vector<double> problem_losses;
  std::vector<std::string> problem_names;

  std::size_t tasks() const { return names.size(); }
  bool needs_losses_only() const { return method->method_class() == balance::MethodClass::kLoss; }

  void check_parameters() const;
  void begin(std::span<const at::Tensor> given);
  void solve(MatrixView gram, Rng& rng);
  void run_weighted(Rng& rng);
  void run_sequential(Rng& rng);
  void fill_diagnosis();
  void check_total_norm(double shared_squared);
  bool heads_weighted() const;
  double own_factor(std::size_t i) const;
  void write_own(double factor);
};

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
  present.clear();
  losses.clear();
  own.clear();
  own_gradients.clear();
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
    jacobian.reset();
    direction.reset();
  }
  reached.assign(shared.size(), false);
}

// The method sees the present tasks only. One that keeps state per task and needs only losses sees
// all of them, absent ones with their last known loss (at first the mean of the others): its state
// has a place for each.
void MultiTaskBackward::Impl::solve(MatrixView gram, Rng& rng) {
  const balance::MethodInfo* info = balance::find_method(method->name());
  const bool stateful = info != nullptr ? info->stateful : !method->state().is_null();
  const bool all = present.size() < tasks() && stateful && needs_losses_only();
  double mean = 0.0;
  for (const std::size_t i : present)
    mean += report.losses[i] / static_cast<double>(present.size());
  last_losses.resize(tasks(), kNan);
  problem_losses.clear();
  problem_names.clear();
  for (std::size_t i = 0; i < tasks(); ++i) {
    const bool here = !std::isnan(report.losses[i]);
    if (here) last_losses[i] = report.losses[i];
    if (!here && !all) continue;
    problem_losses.push_back(std::isnan(last_losses[i]) ? mean : last_losses[i]);
    problem_names.push_back(names[i]);
  }
  const balance::Problem problem{.tasks = problem_losses.size(),
                                 .gram = needs_losses_only() ? MatrixView{} : gram,
                                 .losses = problem_losses,
                                 .names = problem_names,
                                 .rng = &rng};
  const Stopwatch watch;
  method->solve(problem, result);
  report.solve_ms = watch.milliseconds();
  small_weights.clear();
  for (std::size_t i = 0; i < present.size(); ++i) {
    small_weights.push_back(result.weights[all ? present[i] : i]);
    report.weights[present[i]] = small_weights.back();
    DETENTE_CHECK(std::isfinite(small_weights.back()),
                  ErrorCode::kNumeric,
                  "[engine::MultiTaskBackward] method '{}' gave task '{}' the weight {}.",
                  method->name(),
                  names[present[i]],
                  small_weights.back());
  }
  report.stop = result.stop;
  report.iterations = result.iterations;
  report.certificate = result.certificate;
  report.message = result.message;
}

bool MultiTaskBackward::Impl::heads_weighted() const {
  if (options.heads == MultiTaskOptions::HeadGradient::kAuto) return needs_losses_only();
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
  for (const auto& list : own_gradients) {
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
      at::Tensor& gradient = own_gradients[i][j];
      if (!gradient.defined()) continue;
      if (factor != 1.0) gradient.mul_(factor);
      own[i][j].mutable_grad() = std::move(gradient);
    }
  }
}

void MultiTaskBackward::Impl::run_weighted(Rng& rng) {
  report.strategy = Strategy::kWeighted;
  solve({}, rng);
  const Stopwatch watch;
  TensorList targets = shared;
  TensorList own_targets;
  for (const auto& list : own) own_targets.insert(own_targets.end(), list.begin(), list.end());
  const bool with_heads = heads_weighted();
  if (with_heads) targets.insert(targets.end(), own_targets.begin(), own_targets.end());
  // Each task's own parameters lie near its loss, so a second pass to them alone is short.
  const bool second_pass = !with_heads && !own_targets.empty();
  TensorList found;
  if (!targets.empty()) found = gradients(losses, small_weights, targets, second_pass);
  TensorList own_found;
  if (second_pass) {
    own_found = gradients(losses, std::vector<double>(losses.size(), 1.0), own_targets, false);
  } else {
    own_found.assign(
        std::make_move_iterator(found.begin() + static_cast<std::ptrdiff_t>(shared.size())),
        std::make_move_iterator(found.end()));
    found.resize(shared.size());
  }

  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < shared.size(); ++i) found[i] = owned(found[i], shared[i]);
  std::size_t next = 0;
  for (const auto& list : own) {
    own_gradients.emplace_back();
    for (const auto& parameter : list) {
      own_gradients.back().push_back(owned(own_found[next], parameter));
      own_found[next++].reset();
    }
  }
  double squared = 0.0;
  if (options.clip_norm > 0.0) {
    for (const auto& gradient : found) {
      if (gradient.defined()) squared += tensor::squared_norm(gradient);
    }
    report.direction_norm = std::sqrt(squared);
  }
  check_total_norm(squared);

  tensor::clear_gradients(all_shared);
  for (std::size_t i = 0; i < shared.size(); ++i) {
    if (!found[i].defined()) continue;
    if (report.clip_factor != 1.0) found[i].mul_(report.clip_factor);
    shared[i].mutable_grad() = std::move(found[i]);
  }
  write_own(report.clip_factor);
  report.backward_ms = watch.milliseconds();
}

void MultiTaskBackward::Impl::run_sequential(Rng& rng) {
  report.strategy = Strategy::kSequential;
  const auto k = static_cast<std::int64_t>(present.size());
  const std::int64_t p = layout.size();
  Stopwatch passes;
  if (!shared.empty() && (!jacobian.defined() || jacobian.size(0) < k)) {
    jacobian = at::empty({k, p}, shared[0].options().requires_grad(false));
    direction = at::empty({p}, jacobian.options());
  }
  const at::Tensor rows = shared.empty() ? at::zeros({k, 0}) : jacobian.narrow(0, 0, k);
  for (std::size_t i = 0; i < present.size(); ++i) {
    TensorList targets = shared;
    targets.insert(targets.end(), own[i].begin(), own[i].end());
    own_gradients.emplace_back();
    if (targets.empty()) continue;
    TensorList found = gradients({losses[i]}, {1.0}, targets, i + 1 < present.size());
    const at::NoGradGuard no_grad;
    for (std::size_t j = 0; j < own[i].size(); ++j) {
      own_gradients[i].push_back(owned(found[shared.size() + j], own[i][j]));
      found[shared.size() + j].reset();
    }
    found.resize(shared.size());
    for (std::size_t j = 0; j < shared.size(); ++j) {
      if (found[j].defined()) reached[j] = true;
    }
    if (!shared.empty()) layout.gather(found, rows[static_cast<std::int64_t>(i)]);
  }
  const at::NoGradGuard no_grad;
  small_gram = tensor::gram(rows);
  for (std::size_t i = 0; i < present.size(); ++i) {
    DETENTE_CHECK(std::isfinite(small_gram(i, i)),
                  ErrorCode::kNumeric,
                  "[engine::MultiTaskBackward] the gradient of task '{}' is not finite although "
                  "its loss is {}. Look for square roots or logarithms at 0 in it.",
                  names[present[i]],
                  report.losses[present[i]]);
  }
  const double passes_ms = passes.milliseconds();
  solve(small_gram, rng);

  const Stopwatch rest;
  fill_diagnosis();
  for (std::size_t i = 0; i < present.size(); ++i) {
    const double factor = own_factor(i);
    if (factor == 1.0) continue;
    for (auto& gradient : own_gradients[i]) {
      if (gradient.defined()) gradient.mul_(factor);
    }
  }
  check_total_norm(report.direction_norm * report.direction_norm);

  tensor::clear_gradients(all_shared);
  if (!shared.empty()) {
    const double clip = report.clip_factor;
    if (k == 1 && small_weights[0] * clip == 1.0) {
      direction.copy_(rows[0]);
    } else {
      at::Tensor w = at::empty({k}, at::kDouble);
      for (std::int64_t i = 0; i < k; ++i) {
        w.data_ptr<double>()[i] = small_weights[static_cast<std::size_t>(i)] * clip;
      }
      at::mv_out(direction, rows.t(), w.to(rows.options()));
    }
    layout.share_as_gradients(direction, shared);
    for (std::size_t j = 0; j < shared.size(); ++j) {
      if (!reached[j]) shared[j].mutable_grad().reset();
    }
  }
  write_own(report.clip_factor);
  report.backward_ms = passes_ms + rest.milliseconds();
}

void MultiTaskBackward::Impl::fill_diagnosis() {
  const std::size_t k = tasks();
  report.diagnosed = true;
  report.gram = Matrix(k, k, kNan);
  report.cosines = Matrix(k, k, kNan);
  report.gradient_norms.assign(k, kNan);
  double squared = 0.0;
  for (std::size_t i = 0; i < present.size(); ++i) {
    report.gradient_norms[present[i]] = std::sqrt(small_gram(i, i));
    for (std::size_t j = 0; j < present.size(); ++j) {
      report.gram(present[i], present[j]) = small_gram(i, j);
      const double scale = std::sqrt(small_gram(i, i)) * std::sqrt(small_gram(j, j));
      if (scale > 0) report.cosines(present[i], present[j]) = small_gram(i, j) / scale;
      if (i != j && small_gram(i, j) < 0) report.conflict = true;
      squared += small_weights[i] * small_weights[j] * small_gram(i, j);
    }
  }
  // Rounding can leave a tiny negative number where the direction vanishes.
  report.direction_norm = std::sqrt(std::max(squared, 0.0));
}

MultiTaskBackward::MultiTaskBackward(const TensorList& shared,
                                     const std::vector<TensorList>& own,
                                     std::shared_ptr<balance::Method> method,
                                     std::vector<std::string> names,
                                     const MultiTaskOptions& options)
    : impl_(std::make_unique<Impl>()) {
  impl_->all_shared = shared;
  impl_->all_own = own;
  impl_->method = std::move(method);
  impl_->names = std::move(names);
  impl_->options = options;
  validate_fields([&](FieldVisitor& visitor) { impl_->options.describe(visitor); },
                  "[engine::MultiTaskBackward] option");
  impl_->check_parameters();
  tensor::FlatLayout check_types(shared);
}

MultiTaskBackward::~MultiTaskBackward() = default;
MultiTaskBackward::MultiTaskBackward(MultiTaskBackward&&) noexcept = default;
MultiTaskBackward& MultiTaskBackward::operator=(MultiTaskBackward&&) noexcept = default;

const StepReport& MultiTaskBackward::operator()(std::span<const at::Tensor> losses, Rng& rng) {
  Impl& impl = *impl_;
  const Impl::Release release{impl};
  tensor::translate_errors("engine::MultiTaskBackward", [&] {
    impl.begin(losses);
    const bool due =
        impl.options.diagnose_every > 0 && impl.steps % impl.options.diagnose_every == 0;
    const bool sequential =
        !impl.needs_losses_only() || due || impl.options.strategy == Strategy::kSequential;
    if (impl.present.empty()) {
      tensor::clear_gradients(impl.all_shared);
      for (const auto& list : impl.all_own) tensor::clear_gradients(list);
    } else if (sequential) {
      impl.run_sequential(rng);
    } else {
      impl.run_weighted(rng);
    }
  });
  ++impl.steps;
  return impl.report;
}

const std::vector<std::string>& MultiTaskBackward::names() const { return impl_->names; }

std::int64_t MultiTaskBackward::shared_size() const {
  return tensor::FlatLayout(trainable(impl_->all_shared)).size();
}

std::int64_t MultiTaskBackward::steps() const { return impl_->steps; }
void MultiTaskBackward::set_steps(std::int64_t steps) { impl_->steps = steps; }

Json MultiTaskBackward::state() const {
  Json last = Json::array();
  for (const double loss : impl_->last_losses) last.push_back(json_number(loss));
  return {{"steps", impl_->steps}, {"last_losses", last}};
}

void MultiTaskBackward::load_state(const Json& state) {
  const auto bad = [](const char* what) {
    fail(ErrorCode::kData, "[engine::MultiTaskBackward] the saved state has {}.", what);
  };
  if (!state.is_object() || !state.contains("steps") || !state["steps"].is_number_unsigned() ||
      !state.contains("last_losses") || !state["last_losses"].is_array()) {
    bad("no steps or last_losses");
  }
  std::vector<double> last;
  for (const Json& loss : state["last_losses"]) {
    if (!loss.is_number() && !loss.is_null()) bad("a loss that is no number");
    last.push_back(loss.is_null() ? kNan : loss.get<double>());
  }
  if (!last.empty() && last.size() != impl_->tasks()) bad("another number of tasks");
  impl_->steps = state["steps"].get<std::int64_t>();
  impl_->last_losses = std::move(last);
}

}  // namespace detente::engine
