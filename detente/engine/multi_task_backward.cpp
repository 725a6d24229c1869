// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <detente/core/error.h>
#include <detente/engine/internal/features.h>
#include <detente/engine/internal/layered.h>
#include <detente/engine/internal/lockstep.h>
#include <detente/engine/internal/sequential.h>
#include <detente/engine/multi_task_backward.h>
#include <detente/tensor/compat.h>
#include <detente/tensor/flatten.h>
#include <detente/tensor/gram.h>

#include <algorithm>
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

template <class T>
balance::Rows<T> rows_view(const at::Tensor& rows, const at::Tensor& values) {
  balance::Rows<T> view{.data = rows.data_ptr<T>(),
                        .rows = static_cast<std::size_t>(rows.size(0)),
                        .cols = static_cast<std::size_t>(rows.size(1)),
                        .stride = static_cast<std::size_t>(rows.stride(0))};
  if (values.defined()) {
    view.values = {values.data_ptr<T>(), static_cast<std::size_t>(values.numel())};
    view.samples = values.dim() > 1 ? static_cast<std::size_t>(values.size(0)) : 1;
  }
  return view;
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
    case Strategy::kSegmented:
      return "segmented";
    case Strategy::kGhost:
      return "ghost";
    case Strategy::kFeatures:
      return "features";
    case Strategy::kLockstep:
      return "lockstep";
  }
  return "?";
}

void MultiTaskOptions::describe(FieldVisitor& visitor) {
  visitor.choice("strategy",
                 strategy,
                 {{"auto", Strategy::kAuto},
                  {"weighted", Strategy::kWeighted},
                  {"sequential", Strategy::kSequential},
                  {"segmented", Strategy::kSegmented},
                  {"ghost", Strategy::kGhost},
                  {"features", Strategy::kFeatures}},
                 "How the tasks' gradients are obtained. weighted: one backward pass of the "
                 "weighted loss, for methods that need losses only; sequential: one pass per task, "
                 "for every model; segmented: one pass where each task has its own rows of the "
                 "batch; ghost: one pass per task, without the weight gradients of layers with few "
                 "rows; features: gradients at the shared representation, a different objective; "
                 "auto: the cheapest exact one.");
  visitor.choice("memory",
                 memory,
                 {{"fast", Memory::kFast}, {"low", Memory::kLow}},
                 "low: never K gradients at once, but stretches of the model one after the other "
                 "and one more backward pass; for methods that need the Gram matrix.");
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
  visitor.number("estimate_floor",
                 estimate_floor,
                 {.min = -1, .max = 1},
                 "Gram matrices estimated from a part of the batch are used while the cosine of "
                 "their direction with the exact one, measured at every diagnosed step, is at "
                 "least this; below it steps are exact.");
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
      impl.formed.own_gradients.clear();
      impl.layered.release();
      impl.features.release();
      impl.given_rows.clear();
      impl.given_features.reset();
      impl.given_first = {};
      impl.given_cross = {};
      impl.given_estimate = {};
    }
  };

  TensorList all_shared;
  std::vector<TensorList> all_own;
  std::shared_ptr<balance::Method> method;
  std::vector<std::string> names;
  MultiTaskOptions options;
  std::int64_t steps = 0;
  std::vector<std::string> group_names;
  std::vector<int> group_of;  // per parameter of all_shared

  // Given for the next call.
  std::vector<std::int64_t> given_rows;
  at::Tensor given_features;
  Matrix given_first;     // K×K, Gram matrix of the first independent batch
  Matrix given_cross;     // K×K
  Matrix given_estimate;  // K×K

  // Of this step.
  StepReport report;
  TensorList shared;  // trainable ones
  tensor::FlatLayout layout;
  std::vector<std::size_t> present;
  TensorList losses;            // of the present tasks
  std::vector<TensorList> own;  // trainable ones of each present task
  std::vector<std::int64_t> rows;
  bool due = false;         // for diagnosis
  std::vector<int> groups;  // per parameter of `shared`
  internal::TaskGradients formed;
  std::vector<double> small_weights;
  bool unreported_notice = false;

  // Kept between steps.
  internal::SequentialGradients sequential;
  internal::LayeredGradients layered;
  internal::FeatureGradients features;
  at::Tensor direction;  // [P]; the memory behind .grad
  at::Tensor spare;      // [P]; what a class J method writes before anything may fail
  std::vector<std::string> notices;
  double estimate_cosine = kNan;  // last measured
  balance::Result result;
  balance::Result estimate_result;
  std::vector<double> problem_losses;
  std::vector<std::string> problem_names;
  std::vector<std::size_t> problem_ids;
  Matrix small_cross;

  std::size_t tasks() const { return names.size(); }
  bool needs_losses_only() const { return method->needs() == balance::MethodClass::kLoss; }

  void check_parameters() const;
  void begin(std::span<const at::Tensor> given);
  void translate_rows();
  balance::Problem make_problem(MatrixView gram, Rng* rng);
  void solve(MatrixView gram, Rng& rng);
  void take_result();
  Matrix of_present(const Matrix& all) const;
  bool covers_present(const Matrix& all) const;
  at::Tensor rows_of(std::span<const at::Tensor> given);
  void run_weighted(MatrixView gram, Rng& rng);
  void run_gradients(Rng& rng);
  bool low_memory() const;
  void run_features(Rng& rng);
  Strategy form(const internal::StepTensors& step);
  bool at_features() const;
  bool diagnosis_due() const {
    return options.diagnose_every > 0 && steps % options.diagnose_every == 0;
  }
  bool estimate_good_enough() const { return !(estimate_cosine < options.estimate_floor); }
  bool estimate_usable() const;
  void measure_estimate(Rng& rng);
  void note(const std::string& text);
  void check_gram() const;
  bool direct(const at::Tensor& gradients, const at::Tensor& values, at::Tensor& out, Rng& rng);
  void fill_diagnosis();
  void scale_own();
  void check_total_norm(double shared_squared);
  bool heads_weighted() const;
  double own_factor(std::size_t i) const;
  void write_shared(TensorList found);
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
  take_result();
}

void MultiTaskBackward::Impl::take_result() {
  small_weights = result.weights;
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

void MultiTaskBackward::Impl::run_weighted(MatrixView gram, Rng& rng) {
  report.strategy = Strategy::kWeighted;
  solve(gram, rng);
  const Stopwatch watch;
  TensorList targets = shared;
  TensorList own_targets;
  for (const auto& list : own) own_targets.insert(own_targets.end(), list.begin(), list.end());
  const bool with_heads = heads_weighted();
  if (with_heads) targets.insert(targets.end(), own_targets.begin(), own_targets.end());
  // Each task's own parameters lie near its loss, so a second pass to them alone is short.
  const bool second_pass = !with_heads && !own_targets.empty();
  TensorList found;
  if (!targets.empty()) {
    found = internal::weighted_gradients(losses, small_weights, targets, second_pass);
  }
  TensorList own_found;
  if (second_pass) {
    own_found = internal::weighted_gradients(
        losses, std::vector<double>(losses.size(), 1.0), own_targets, false);
  } else {
    own_found.assign(
        std::make_move_iterator(found.begin() + static_cast<std::ptrdiff_t>(shared.size())),
        std::make_move_iterator(found.end()));
    found.resize(shared.size());
  }

  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < shared.size(); ++i) {
    at::Tensor gradient = std::move(found[i]);
    found[i] = internal::owned(std::move(gradient), shared[i]);
  }
  std::size_t next = 0;
  for (const auto& list : own) {
    formed.own_gradients.emplace_back();
    for (const auto& parameter : list) {
      at::Tensor gradient = std::move(own_found[next++]);
      formed.own_gradients.back().push_back(internal::owned(std::move(gradient), parameter));
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
  write_shared(std::move(found));
  write_own(report.clip_factor);
  report.backward_ms = watch.milliseconds();
}

// One gradient per task with respect to the shared parameters, [K, P]; NaN for absent tasks.
at::Tensor MultiTaskBackward::Impl::rows_of(std::span<const at::Tensor> given) {
  DETENTE_CHECK(given.size() == tasks(),
                ErrorCode::kShape,
                "[engine::MultiTaskBackward] expected {} losses, got {}.",
                tasks(),
                given.size());
  const TensorList parameters = trainable(all_shared);
  const tensor::FlatLayout flat(parameters);
  const auto k = static_cast<std::int64_t>(tasks());
  if (parameters.empty()) return at::zeros({k, 0});
  at::Tensor result =
      at::full({k, flat.size()}, kNan, parameters[0].options().requires_grad(false));
  for (std::int64_t i = 0; i < k; ++i) {
    const at::Tensor& loss = given[static_cast<std::size_t>(i)];
    if (!loss.defined()) continue;
    const TensorList found =
        internal::weighted_gradients({loss}, {1.0}, parameters, /*keep_graph=*/i + 1 < k);
    flat.gather(found, result[i]);
  }
  return result;
}

bool MultiTaskBackward::Impl::estimate_usable() const {
  return method->needs() != balance::MethodClass::kCoordinates && estimate_good_enough() &&
         covers_present(given_estimate);
}

bool MultiTaskBackward::Impl::at_features() const {
  return options.strategy == Strategy::kFeatures || (method->at_features() && !needs_losses_only());
}

// How well the estimate would have done: the cosine of the two directions, from the exact Gram
// matrix. Solving twice must not move the method, so only for those without state or chance.
void MultiTaskBackward::Impl::measure_estimate(Rng& rng) {
  if (!covers_present(given_estimate) || !method->state().is_null()) return;
  const Matrix estimate = of_present(given_estimate);
  Rng copy = rng;
  method->solve(make_problem(estimate, &copy), estimate_result);
  double both = 0;
  double exact = 0;
  double rough = 0;
  for (std::size_t i = 0; i < present.size(); ++i) {
    for (std::size_t j = 0; j < present.size(); ++j) {
      const double g = formed.gram(i, j);
      both += result.weights[i] * g * estimate_result.weights[j];
      exact += result.weights[i] * g * result.weights[j];
      rough += estimate_result.weights[i] * g * estimate_result.weights[j];
    }
  }
  if (!(exact > 0) || !(rough > 0)) return;
  estimate_cosine = both / std::sqrt(exact) / std::sqrt(rough);
  report.estimate_cosine = estimate_cosine;
}

void MultiTaskBackward::Impl::note(const std::string& text) {
  if (std::find(notices.begin(), notices.end(), text) != notices.end()) return;
  notices.push_back(text);
  report.notice = text;
}

bool MultiTaskBackward::Impl::low_memory() const {
  return options.memory == MultiTaskOptions::Memory::kLow && present.size() > 1 &&
         !shared.empty() && method->needs() != balance::MethodClass::kCoordinates;
}

// Forms the gradients at the parameters; returns how.
Strategy MultiTaskBackward::Impl::form(const internal::StepTensors& step) {
  const bool rows_wanted = method->needs() == balance::MethodClass::kCoordinates;
  const bool plain = options.strategy == Strategy::kSequential ||
                     options.strategy == Strategy::kWeighted || rows_wanted ||
                     present.size() == 1 || shared.empty();
  if (low_memory()) {
    // Two gradients' worth of numbers, shared among the K that a stretch has at once.
    internal::form_lockstep(
        step, 2 * layout.size() / static_cast<std::int64_t>(present.size()), formed);
    return Strategy::kLockstep;
  }
  if (!plain) {
    const internal::LayeredMode mode =
        options.strategy == Strategy::kSegmented ? internal::LayeredMode::kSegmented
        : options.strategy == Strategy::kGhost   ? internal::LayeredMode::kGhost
                                                 : internal::LayeredMode::kAuto;
    std::string why;
    if (layered.form(step, mode, formed, why)) {
      if (!formed.notice.empty()) {
        note(
            fmt::format("Some shared parameters need a pass per task: segments of the batch cannot "
                        "be followed through {}.",
                        formed.notice));
      }
      return layered.segmented() ? Strategy::kSegmented : Strategy::kGhost;
    }
    if (mode != internal::LayeredMode::kAuto) {
      note(fmt::format("Strategy {} is not possible here: {}. One pass per task is made instead.",
                       name_of(options.strategy),
                       why));
    }
  }
  sequential.form(step, formed);
  return Strategy::kSequential;
}

void MultiTaskBackward::Impl::check_gram() const {
  for (std::size_t i = 0; i < present.size(); ++i) {
    DETENTE_CHECK(std::isfinite(formed.gram(i, i)),
                  ErrorCode::kNumeric,
                  "[engine::MultiTaskBackward] the gradient of task '{}' is not finite although "
                  "its loss is {}. Look for square roots or logarithms at 0 in it.",
                  names[present[i]],
                  report.losses[present[i]]);
  }
}

// Lets a class J method write the direction; false for all others, which have been solved.
bool MultiTaskBackward::Impl::direct(const at::Tensor& gradients,
                                     const at::Tensor& values,
                                     at::Tensor& out,
                                     Rng& rng) {
  if (method->method_class() != balance::MethodClass::kCoordinates) {
    solve(formed.gram, rng);
    return false;
  }
  const balance::Problem problem = make_problem(formed.gram, &rng);
  const Stopwatch watch;
  // The methods' loops run on the host.
  const at::Tensor host = gradients.cpu();
  const at::Tensor near = values.defined() ? values.cpu() : values;
  at::Tensor d = out.is_cpu() ? out : at::empty_like(out, out.options().device(at::kCPU));
  if (host.scalar_type() == at::kFloat) {
    method->direct(problem,
                   rows_view<float>(host, near),
                   {d.data_ptr<float>(), static_cast<std::size_t>(d.numel())},
                   result);
  } else {
    method->direct(problem,
                   rows_view<double>(host, near),
                   {d.data_ptr<double>(), static_cast<std::size_t>(d.numel())},
                   result);
  }
  if (!d.is_same(out)) out.copy_(d);
  report.solve_ms = watch.milliseconds();
  take_result();
  return true;
}

void MultiTaskBackward::Impl::run_gradients(Rng& rng) {
  for (std::size_t i = 0; due && i < group_of.size(); ++i) {
    if (all_shared[i].requires_grad()) groups.push_back(group_of[i]);
  }
  const internal::StepTensors step{losses, shared, own, layout, rows, groups};
  const Stopwatch passes;
  report.strategy = form(step);
  const at::NoGradGuard no_grad;
  check_gram();
  const double passes_ms = passes.milliseconds();
  const bool low = report.strategy == Strategy::kLockstep;
  if (!shared.empty() && !direction.defined() && !low) {
    direction = at::empty({layout.size()}, shared[0].options().requires_grad(false));
  }
  const bool by_coordinates = method->method_class() == balance::MethodClass::kCoordinates;
  if (by_coordinates && !spare.defined()) {
    spare = shared.empty() ? at::empty({0}) : at::empty_like(direction);
  }
  direct(by_coordinates ? sequential.rows() : at::Tensor(), {}, spare, rng);

  const Stopwatch rest;
  fill_diagnosis();
  if (!by_coordinates) measure_estimate(rng);
  if (by_coordinates) report.direction_norm = std::sqrt(tensor::squared_norm(spare));
  scale_own();
  check_total_norm(report.direction_norm * report.direction_norm);
  if (low) {
    TensorList found = internal::weighted_gradients(losses, small_weights, shared, false);
    for (std::size_t i = 0; i < shared.size(); ++i) {
      at::Tensor gradient = std::move(found[i]);
      found[i] = internal::owned(std::move(gradient), shared[i]);
    }
    write_shared(std::move(found));
    write_own(report.clip_factor);
    report.backward_ms = passes_ms + rest.milliseconds();
    return;
  }

  tensor::clear_gradients(all_shared);
  if (!shared.empty()) {
    const double clip = report.clip_factor;
    if (by_coordinates) {
      std::swap(direction, spare);
      if (clip != 1.0) direction.mul_(clip);
    } else {
      std::vector<double> weights = small_weights;
      for (double& w : weights) w *= clip;
      if (report.strategy == Strategy::kSequential) {
        sequential.combine(weights, direction);
      } else {
        layered.combine(weights, direction);
      }
    }
    layout.share_as_gradients(direction, shared);
    for (std::size_t j = 0; j < shared.size(); ++j) {
      if (!formed.reached[j]) shared[j].mutable_grad().reset();
    }
  }
  write_own(report.clip_factor);
  report.backward_ms = passes_ms + rest.milliseconds();
}

void MultiTaskBackward::Impl::run_features(Rng& rng) {
  const internal::StepTensors step{losses, shared, own, layout, rows};
  const Stopwatch passes;
  std::string why;
  report.strategy = Strategy::kFeatures;
  DETENTE_CHECK(features.form(step, formed, why),
                ErrorCode::kInvalidArgument,
                "[engine::MultiTaskBackward] the gradients cannot be taken at a shared "
                "representation: {}. Use another strategy{}.",
                why,
                method->at_features() ? " with the method of the same kind on parameters" : "");
  check_gram();
  const double passes_ms = passes.milliseconds();
  at::Tensor combined;
  if (method->method_class() == balance::MethodClass::kCoordinates) {
    DETENTE_CHECK(!given_features.defined() || given_features.numel() == features.rows().size(1),
                  ErrorCode::kShape,
                  "[engine::MultiTaskBackward] set_features was given {} numbers; the shared "
                  "representation has {}.",
                  given_features.defined() ? given_features.numel() : 0,
                  features.rows().size(1));
    combined = at::empty({features.rows().size(1)}, features.rows().options());
  }
  {
    const at::NoGradGuard no_grad;
    const at::Tensor values =
        given_features.defined() ? given_features.detach().contiguous() : at::Tensor();
    if (!direct(features.rows(), values, combined, rng)) combined.reset();
  }

  const Stopwatch rest;
  TensorList found = features.pull_back(step, small_weights, combined);
  const at::NoGradGuard no_grad;
  fill_diagnosis();
  double squared = 0.0;
  for (const auto& gradient : found) {
    if (gradient.defined()) squared += tensor::squared_norm(gradient);
  }
  report.direction_norm = std::sqrt(squared);
  scale_own();
  check_total_norm(squared);
  write_shared(std::move(found));
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
    report.gradient_norms[present[i]] = std::sqrt(formed.gram(i, i));
    for (std::size_t j = 0; j < present.size(); ++j) {
      report.gram(present[i], present[j]) = formed.gram(i, j);
      const double scale = std::sqrt(formed.gram(i, i)) * std::sqrt(formed.gram(j, j));
      if (scale > 0) report.cosines(present[i], present[j]) = formed.gram(i, j) / scale;
      if (i != j && formed.gram(i, j) < 0) report.conflict = true;
      squared += small_weights[i] * small_weights[j] * formed.gram(i, j);
    }
  }
  for (std::size_t g = 0; g < group_names.size() && !groups.empty(); ++g) {
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
    using balance::MethodClass;
    const bool due = impl.due = impl.diagnosis_due();
    const MethodClass needs = impl.method->needs();
    const bool at_features = impl.at_features();
    if (impl.present.empty()) {
      tensor::clear_gradients(impl.all_shared);
      for (const auto& list : impl.all_own) tensor::clear_gradients(list);
    } else if (at_features && impl.present.size() > 1 && !impl.shared.empty()) {
      impl.run_features(rng);
    } else if (!due && impl.given_cross.rows() > 0 && needs == MethodClass::kCross) {
      // The weights follow from the other batches; here one pass is enough.
      const Matrix gram = impl.of_present(impl.given_first);
      impl.run_weighted(gram, rng);
    } else if (!due && needs != MethodClass::kLoss && impl.estimate_usable()) {
      const Matrix gram = impl.of_present(impl.given_estimate);
      impl.report.estimated = true;
      impl.run_weighted(gram, rng);
    } else if (needs != MethodClass::kLoss || due ||
               impl.options.strategy == Strategy::kSequential) {
      impl.run_gradients(rng);
    } else {
      impl.run_weighted({}, rng);
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

void MultiTaskBackward::set_groups(std::vector<std::string> names,
                                   std::vector<int> group_of_shared_parameter) {
  const std::size_t shared = impl_->all_shared.size();
  DETENTE_CHECK(group_of_shared_parameter.size() == (names.empty() ? 0 : shared),
                ErrorCode::kShape,
                "[engine::MultiTaskBackward] set_groups: expected a group for each of {} shared "
                "parameters, got {}.",
                names.empty() ? 0 : shared,
                group_of_shared_parameter.size());
  for (std::size_t i = 0; i < group_of_shared_parameter.size(); ++i) {
    const int group = group_of_shared_parameter[i];
    DETENTE_CHECK(group >= 0 && static_cast<std::size_t>(group) < names.size(),
                  ErrorCode::kInvalidArgument,
                  "[engine::MultiTaskBackward] set_groups: shared parameter {} has group {}; "
                  "expected 0 to {}.",
                  i,
                  group,
                  names.size() - 1);
  }
  impl_->group_names = std::move(names);
  impl_->group_of = std::move(group_of_shared_parameter);
}

void MultiTaskBackward::set_rows(std::span<const std::int64_t> task_of_row) {
  const auto tasks = static_cast<std::int64_t>(impl_->tasks());
  for (std::size_t r = 0; r < task_of_row.size(); ++r) {
    DETENTE_CHECK(task_of_row[r] >= -1 && task_of_row[r] < tasks,
                  ErrorCode::kInvalidArgument,
                  "[engine::MultiTaskBackward] set_rows: row {} belongs to task {}; expected -1 "
                  "(none) to {}.",
                  r,
                  task_of_row[r],
                  tasks - 1);
  }
  impl_->given_rows.assign(task_of_row.begin(), task_of_row.end());
}

void MultiTaskBackward::set_features(const at::Tensor& features) {
  impl_->given_features = features;
}

void MultiTaskBackward::set_independent(std::span<const at::Tensor> first,
                                        std::span<const at::Tensor> second) {
  tensor::translate_errors("engine::MultiTaskBackward", [&] {
    const at::Tensor rows = impl_->rows_of(first);
    impl_->given_cross = tensor::inner_products(rows, impl_->rows_of(second));
    impl_->given_first = tensor::gram(rows);
  });
  for (std::size_t i = 0; i < impl_->tasks(); ++i) {
    if (!first[i].defined() || !second[i].defined()) continue;
    DETENTE_CHECK(std::isfinite(impl_->given_cross(i, i)),
                  ErrorCode::kNumeric,
                  "[engine::MultiTaskBackward] set_independent: the gradient of task '{}' is not "
                  "finite in one of the two batches. Look for square roots or logarithms at 0 in "
                  "its loss, or lower the learning rate.",
                  impl_->names[i]);
  }
}

void MultiTaskBackward::set_estimate(std::span<const at::Tensor> losses_of_part) {
  tensor::translate_errors("engine::MultiTaskBackward", [&] {
    impl_->given_estimate = tensor::gram(impl_->rows_of(losses_of_part));
  });
}

bool MultiTaskBackward::wants_independent() const {
  return impl_->method->needs() == balance::MethodClass::kCross && !impl_->at_features();
}

bool MultiTaskBackward::wants_estimate() const {
  using balance::MethodClass;
  const MethodClass needs = impl_->method->needs();
  if ((needs != MethodClass::kGram && needs != MethodClass::kGramLoss) || impl_->at_features()) {
    return false;
  }
  return impl_->diagnosis_due() ? impl_->method->state().is_null() : impl_->estimate_good_enough();
}

void MultiTaskBackward::after_step(std::span<const at::Tensor> losses) {
  Impl& impl = *impl_;
  if (!impl.method->wants_losses_after_step() || impl.present.empty()) return;
  DETENTE_CHECK(losses.size() == impl.tasks(),
                ErrorCode::kShape,
                "[engine::MultiTaskBackward] after_step: expected {} losses, got {}.",
                impl.tasks(),
                losses.size());
  std::vector<double> values;
  for (const std::size_t i : impl.present) {
    DETENTE_CHECK(losses[i].defined() && losses[i].numel() == 1,
                  ErrorCode::kInvalidArgument,
                  "[engine::MultiTaskBackward] after_step: the loss of task '{}', which took part "
                  "in the step, is missing or no scalar.",
                  impl.names[i]);
    values.push_back(losses[i].item<double>());
  }
  balance::Problem problem = impl.make_problem({}, nullptr);
  problem.losses = values;
  impl.method->losses_after_step(problem);
}

Json MultiTaskBackward::state() const {
  return {{"steps", impl_->steps}, {"estimate_cosine", json_number(impl_->estimate_cosine)}};
}

void MultiTaskBackward::load_state(const Json& state) {
  DETENTE_CHECK(state.is_object() && state.contains("steps") &&
                    state["steps"].is_number_unsigned() && state.contains("estimate_cosine") &&
                    (state["estimate_cosine"].is_number() || state["estimate_cosine"].is_null()),
                ErrorCode::kData,
                "[engine::MultiTaskBackward] the saved state has no steps or estimate_cosine.");
  impl_->steps = state["steps"].get<std::int64_t>();
  const Json& cosine = state["estimate_cosine"];
  impl_->estimate_cosine = cosine.is_null() ? kNan : cosine.get<double>();
}

}  // namespace detente::engine
