// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/engine/internal/step.h>
#include <detente/tensor/gram.h>

#include <cmath>

namespace detente::engine {

using internal::kNan;
using internal::Stopwatch;
using internal::trainable;

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
  if (options.loss_scaling == MultiTaskOptions::LossScaling::kDynamic) {
    impl_->loss_scale = 65536.0;
  }
  impl_->check_parameters();
  tensor::FlatLayout check_types(shared);
}

MultiTaskBackward::~MultiTaskBackward() = default;
MultiTaskBackward::MultiTaskBackward(MultiTaskBackward&&) noexcept = default;
MultiTaskBackward& MultiTaskBackward::operator=(MultiTaskBackward&&) noexcept = default;

const StepReport& MultiTaskBackward::operator()(std::span<const at::Tensor> losses, Rng& rng) {
  Impl& impl = *impl_;
  const Impl::Release release{impl};
  DETENTE_CHECK(!impl.accumulated.any(),
                ErrorCode::kInvalidArgument,
                "[engine::MultiTaskBackward] batches have been accumulated; expected finish().");
  tensor::translate_errors("engine::MultiTaskBackward", [&] {
    impl.begin(losses);
    using balance::MethodClass;
    const bool due = impl.due;
    const MethodClass needs = impl.asked().needs();
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
    } else if (needs != MethodClass::kLoss || due || impl.by_group() ||
               impl.options.strategy == Strategy::kSequential) {
      impl.run_gradients(rng);
    } else {
      impl.run_weighted({}, rng);
    }
  });
  impl.end_step();
  return impl.report;
}

void MultiTaskBackward::accumulate(std::span<const at::Tensor> losses,
                                   std::span<const double> shares) {
  Impl& impl = *impl_;
  const Impl::Release release{impl};
  try {
    tensor::translate_errors("engine::MultiTaskBackward", [&] { impl.add_batch(losses, shares); });
  } catch (...) {
    impl.accumulated.forget();
    throw;
  }
}

const StepReport& MultiTaskBackward::finish(Rng& rng) {
  Impl& impl = *impl_;
  const Impl::Release release{impl};
  try {
    tensor::translate_errors("engine::MultiTaskBackward", [&] { impl.finish_batches(rng); });
  } catch (...) {
    impl.accumulated.forget();
    throw;
  }
  impl.accumulated.forget();
  impl.end_step();
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
  impl_->group_methods.clear();
}

void MultiTaskBackward::balance_by_group(std::vector<std::shared_ptr<balance::Method>> methods) {
  const std::size_t groups = impl_->group_names.size();
  DETENTE_CHECK(methods.empty() || (methods.size() == groups && groups > 0),
                ErrorCode::kShape,
                "[engine::MultiTaskBackward] balance_by_group: expected one method for each of {} "
                "groups (see set_groups), got {}.",
                groups,
                methods.size());
  for (const auto& method : methods) {
    using balance::MethodClass;
    DETENTE_CHECK(method != nullptr && (method->method_class() == MethodClass::kGram ||
                                        method->method_class() == MethodClass::kGramLoss),
                  ErrorCode::kInvalidArgument,
                  "[engine::MultiTaskBackward] balance_by_group: method '{}' is of class {}; "
                  "expected methods that see the Gram matrix (G or G+L): others answer the same "
                  "for every group or need all parameters together.",
                  method == nullptr ? "(none)" : method->name(),
                  method == nullptr ? "?" : balance::name_of(method->method_class()));
    DETENTE_CHECK(std::string(method->name()) == methods[0]->name(),
                  ErrorCode::kInvalidArgument,
                  "[engine::MultiTaskBackward] balance_by_group: expected methods of one kind, got "
                  "'{}' and '{}'.",
                  methods[0]->name(),
                  method->name());
  }
  impl_->group_methods = std::move(methods);
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
  return impl_->asked().needs() == balance::MethodClass::kCross && !impl_->at_features();
}

bool MultiTaskBackward::wants_estimate() const {
  using balance::MethodClass;
  const MethodClass needs = impl_->asked().needs();
  if ((needs != MethodClass::kGram && needs != MethodClass::kGramLoss) || impl_->at_features() ||
      impl_->by_group()) {
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
  return {{"steps", impl_->steps},
          {"estimate_cosine", json_number(impl_->estimate_cosine)},
          {"loss_scale", impl_->loss_scale},
          {"good_steps", impl_->good_steps}};
}

void MultiTaskBackward::load_state(const Json& state) {
  DETENTE_CHECK(state.is_object() && state.contains("steps") &&
                    state["steps"].is_number_integer() && state["steps"].get<std::int64_t>() >= 0 &&
                    state.contains("estimate_cosine") &&
                    (state["estimate_cosine"].is_number() || state["estimate_cosine"].is_null()),
                ErrorCode::kData,
                "[engine::MultiTaskBackward] the saved state has no steps or estimate_cosine.");
  const auto positive = [&](const char* key) {
    return !state.contains(key) || (state[key].is_number() && state[key].get<double>() >= 0);
  };
  DETENTE_CHECK(positive("loss_scale") && positive("good_steps"),
                ErrorCode::kData,
                "[engine::MultiTaskBackward] the saved state's loss_scale or good_steps is no "
                "number.");
  impl_->steps = state["steps"].get<std::int64_t>();
  if (impl_->options.loss_scaling == MultiTaskOptions::LossScaling::kDynamic) {
    impl_->loss_scale = state.value("loss_scale", impl_->loss_scale);
    impl_->good_steps = state.value("good_steps", std::int64_t{0});
  }
  const Json& cosine = state["estimate_cosine"];
  impl_->estimate_cosine = cosine.is_null() ? kNan : cosine.get<double>();
}

}  // namespace detente::engine
