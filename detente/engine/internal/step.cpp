// SPDX-License-Identifier: Apache-2.0
#include <ATen/TensorOperators.h>
#include <detente/core/error.h>
#include <detente/engine/internal/step.h>

#include <algorithm>
#include <cmath>
#include <unordered_set>

namespace detente::engine {

using balance::MethodClass;
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
  DETENTE_CHECK(all_own.empty() || all_own.size() == tasks(),
                ErrorCode::kShape,
                "[engine::MultiTaskBackward] expected {} lists of task parameters (or none), got "
                "{}.",
                tasks(),
                all_own.size());
  DETENTE_CHECK(options.strategy != Strategy::kWeighted || solver.needs() == MethodClass::kLoss,
                ErrorCode::kInvalidArgument,
                "[engine::MultiTaskBackward] method '{}' needs the gradient of each task (class "
                "{}); strategy weighted cannot give it. Use auto or sequential.",
                solver.method().name(),
                balance::name_of(solver.method().method_class()));
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
  for (std::size_t k = 0; k < all_own.size(); ++k) check(all_own[k], "task '" + names()[k] + "'");
}

// What needs everything in one place.
void MultiTaskBackward::Impl::check_group() const {
  if (!spread()) return;
  DETENTE_CHECK(
      options.memory == MultiTaskOptions::Memory::kFast,
      ErrorCode::kUnsupported,
      "[engine::MultiTaskBackward] memory = low goes through the model stretch by stretch "
      "in one process; with {} processes each keeps its share of the gradients already. "
      "Use memory = fast.",
      group->size());
  DETENTE_CHECK(!at_features() || !solver.writes_direction(),
                ErrorCode::kUnsupported,
                "[engine::MultiTaskBackward] method '{}' writes the direction at the shared "
                "representation, whose examples lie in {} processes. Use another strategy.",
                solver.method().name(),
                group->size());
}

void MultiTaskBackward::Impl::check_examples(std::span<const std::int64_t> task_of_example) const {
  const auto count = static_cast<std::int64_t>(tasks());
  for (std::size_t r = 0; r < task_of_example.size(); ++r) {
    DETENTE_CHECK(task_of_example[r] >= -1 && task_of_example[r] < count,
                  ErrorCode::kInvalidArgument,
                  "[engine::MultiTaskBackward] example {} belongs to task {}; expected -1 (none) "
                  "to {}.",
                  r,
                  task_of_example[r],
                  count - 1);
  }
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
  groups.clear();
  due = diagnosis_due();
  for (std::size_t i = 0; (due || solver.by_group()) && i < group_of.size(); ++i) {
    if (all_shared[i].requires_grad()) groups.push_back(group_of[i]);
  }
}

void MultiTaskBackward::Impl::check_loss(std::size_t task, const at::Tensor& loss) const {
  DETENTE_CHECK(loss.numel() == 1,
                ErrorCode::kShape,
                "[engine::MultiTaskBackward] the loss of task '{}' has {} numbers; expected one.",
                names()[task],
                loss.numel());
  DETENTE_CHECK(loss.requires_grad() || !std::isfinite(loss.item<double>()),
                ErrorCode::kInvalidArgument,
                "[engine::MultiTaskBackward] the loss of task '{}' depends on no trainable "
                "parameter. Leave the task out (an undefined tensor).",
                names()[task]);
}

// Takes the losses that are there, then what all processes have; fills in report.losses, the
// present tasks and the parts that this process's examples count.
void MultiTaskBackward::Impl::take_part(const std::vector<double>& values,
                                        std::span<const double> shares) {
  const std::size_t k = tasks();
  std::vector<double> counted(k, 0.0);
  for (std::size_t i = 0; i < k; ++i) {
    if (input.losses[i].defined()) counted[i] = shares.empty() ? 1.0 : shares[i];
  }
  internal::Agreement all = internal::agree(*group, values, counted, way(), formed.pass_per_task);
  pass_per_task_before = all.all_remember;
  present = std::move(all.present);
  report.losses = std::move(all.losses);
  parts = std::move(all.parts);
  for (const std::size_t i : present) {
    DETENTE_CHECK(std::isfinite(report.losses[i]),
                  ErrorCode::kNumeric,
                  "[engine::MultiTaskBackward] the loss of task '{}' is {}; expected a finite "
                  "number. Look at its targets, or lower the learning rate.",
                  names()[i],
                  report.losses[i]);
  }
}

void MultiTaskBackward::Impl::begin(const StepInput& given) {
  const std::size_t k = tasks();
  DETENTE_CHECK(given.losses.size() == k,
                ErrorCode::kShape,
                "[engine::MultiTaskBackward] expected {} losses, got {}. An absent task is an "
                "undefined tensor.",
                k,
                given.losses.size());
  DETENTE_CHECK(given.shares.empty() || given.shares.size() == k,
                ErrorCode::kShape,
                "[engine::MultiTaskBackward] expected {} shares or none, got {}.",
                k,
                given.shares.size());
  input = given;
  start_report();
  std::vector<double> values(k, kNan);
  for (std::size_t i = 0; i < k; ++i) {
    if (!input.losses[i].defined()) continue;
    check_loss(i, input.losses[i]);
    values[i] = input.losses[i].item<double>();
    DETENTE_CHECK(input.shares.empty() || (input.shares[i] > 0 && std::isfinite(input.shares[i])),
                  ErrorCode::kInvalidArgument,
                  "[engine::MultiTaskBackward] the share of task '{}' is {}; expected a number "
                  "above 0.",
                  names()[i],
                  input.shares[i]);
  }
  take_part(values, input.shares);
  take_parameters();
  for (const std::size_t i : present) {
    const at::Tensor& loss = input.losses[i];
    if (!loss.defined()) {
      losses.push_back(internal::no_loss(shared.empty() ? at::empty({0}) : shared[0]));
    } else {
      losses.push_back(parts[i] == 1.0 ? loss : loss * parts[i]);
    }
    own.push_back(all_own.empty() ? TensorList{} : trainable(all_own[i]));
  }
  report.present = present.size();
  translate_examples();
  std::vector<double> of_present;
  for (const std::size_t i : present) of_present.push_back(report.losses[i]);
  solver.begin(present, std::move(of_present));
  if (!covers_present(input.independent.cross)) input.independent = {};
}

void MultiTaskBackward::Impl::take_parameters() {
  TensorList now = trainable(all_shared);
  if (same_tensors(now, shared)) return;
  layout = tensor::FlatLayout(now);
  shared = std::move(now);
  direction.reset();
  spare.reset();
}

// The caller names tasks by their place among all; strategies know the present ones.
void MultiTaskBackward::Impl::translate_examples() {
  std::vector<std::int64_t> place(tasks(), -1);
  for (std::size_t i = 0; i < present.size(); ++i) {
    place[present[i]] = static_cast<std::int64_t>(i);
  }
  examples.clear();
  for (const std::int64_t task : input.examples) {
    examples.push_back(task < 0 ? -1 : place[static_cast<std::size_t>(task)]);
  }
}

// What the coming step does, as a number for the other processes to compare with theirs.
int MultiTaskBackward::Impl::way() const {
  int code = static_cast<int>(solver.needs());
  code = 2 * code + (due ? 1 : 0);
  code = 2 * code + (solver.by_group() ? 1 : 0);
  code = 2 * code + (input.independent.cross.rows() > 0 ? 1 : 0);
  code = 2 * code + (input.estimate.rows() > 0 ? 1 : 0);
  code = 8 * code + static_cast<int>(options.strategy);
  return 1024 * code + static_cast<int>(steps % 1024);
}

void MultiTaskBackward::Impl::clear_all() const {
  tensor::clear_gradients(all_shared);
  for (const auto& list : all_own) tensor::clear_gradients(list);
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

bool MultiTaskBackward::Impl::at_features() const {
  return options.strategy == Strategy::kFeatures ||
         (solver.method().at_features() && solver.needs() != MethodClass::kLoss);
}

bool MultiTaskBackward::Impl::low_memory() const {
  return options.memory == MultiTaskOptions::Memory::kLow && present.size() > 1 &&
         !shared.empty() && solver.needs() != MethodClass::kCoordinates;
}

void MultiTaskBackward::Impl::note(const std::string& text) {
  if (std::find(notices.begin(), notices.end(), text) != notices.end()) return;
  notices.push_back(text);
  report.notice = text;
}

void MultiTaskBackward::Impl::run(const StepInput& given, Rng& rng) {
  begin(given);
  const MethodClass needs = solver.needs();
  if (present.empty()) {
    clear_all();
  } else if (at_features() && present.size() > 1 && !shared.empty()) {
    run_features(rng);
  } else if (!due && input.independent.cross.rows() > 0 && needs == MethodClass::kCross) {
    // The weights follow from the other batches; here one pass is enough.
    const Matrix gram = of_present(input.independent.first);
    run_weighted(gram, rng);
  } else if (!due && needs != MethodClass::kLoss && estimate_usable()) {
    const Matrix gram = of_present(input.estimate);
    report.estimated = true;
    run_weighted(gram, rng);
  } else if (needs != MethodClass::kLoss || due || solver.by_group() ||
             options.strategy == Strategy::kSequential) {
    run_gradients(rng);
  } else {
    run_weighted({}, rng);
  }
}

}  // namespace detente::engine
