// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/engine/internal/step.h>
#include <detente/tensor/gram.h>

#include <cmath>

namespace detente::engine {

using internal::trainable;

MultiTaskBackward::MultiTaskBackward(const TensorList& shared,
                                     const std::vector<TensorList>& own,
                                     std::shared_ptr<balance::Method> method,
                                     std::vector<std::string> names,
                                     const MultiTaskOptions& options)
    : impl_(std::make_unique<Impl>(std::move(method), std::move(names), options)) {
  impl_->all_shared = shared;
  impl_->all_own = own;
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

const StepReport& MultiTaskBackward::operator()(const StepInput& input, Rng& rng) {
  Impl& impl = *impl_;
  const Impl::Release release{impl};
  DETENTE_CHECK(!impl.accumulated.any(),
                ErrorCode::kInvalidArgument,
                "[engine::MultiTaskBackward] batches have been accumulated; expected finish().");
  impl.check_examples(input.examples);
  tensor::translate_errors("engine::MultiTaskBackward", [&] { impl.run(input, rng); });
  impl.end_step();
  return impl.report;
}

const StepReport& MultiTaskBackward::operator()(std::span<const at::Tensor> losses, Rng& rng) {
  StepInput input = std::move(impl_->next);
  impl_->next = {};
  input.losses = losses;
  return (*this)(input, rng);
}

void MultiTaskBackward::accumulate(std::span<const at::Tensor> losses,
                                   std::span<const double> shares) {
  Impl& impl = *impl_;
  StepInput input = impl.next;
  input.losses = losses;
  input.shares = shares;
  const Impl::Release release{impl};
  try {
    tensor::translate_errors("engine::MultiTaskBackward", [&] { impl.add_batch(input); });
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

const std::vector<std::string>& MultiTaskBackward::names() const { return impl_->names(); }

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
  impl_->solver.balance_by_group({});
}

void MultiTaskBackward::balance_by_group(std::vector<std::shared_ptr<balance::Method>> methods) {
  const std::size_t groups = impl_->group_names.size();
  DETENTE_CHECK(methods.empty() || (methods.size() == groups && groups > 0),
                ErrorCode::kShape,
                "[engine::MultiTaskBackward] balance_by_group: expected one method for each of {} "
                "groups (see set_groups), got {}.",
                groups,
                methods.size());
  DETENTE_CHECK(methods.empty() || impl_->options.strategy != Strategy::kFeatures,
                ErrorCode::kInvalidArgument,
                "[engine::MultiTaskBackward] balance_by_group: strategy features balances at the "
                "shared representation and knows no groups of parameters. Use another strategy.");
  impl_->solver.balance_by_group(std::move(methods));
  impl_->check_group();
}

void MultiTaskBackward::set_group(std::shared_ptr<tensor::Group> group, Exchange exchange) {
  DETENTE_CHECK(group != nullptr,
                ErrorCode::kInvalidArgument,
                "[engine::MultiTaskBackward] set_group: there is no group; expected the processes "
                "of the run.");
  impl_->group = std::move(group);
  impl_->exchange = exchange;
  impl_->check_group();
}

void MultiTaskBackward::set_rows(std::span<const std::int64_t> task_of_example) {
  impl_->check_examples(task_of_example);
  impl_->next.examples.assign(task_of_example.begin(), task_of_example.end());
}

void MultiTaskBackward::set_shares(std::span<const double> shares) {
  impl_->next_shares.assign(shares.begin(), shares.end());
  impl_->next.shares = impl_->next_shares;
}

void MultiTaskBackward::set_features(const at::Tensor& features) {
  impl_->next_features = features;
  impl_->next.features = &impl_->next_features;
}

IndependentGrams MultiTaskBackward::independent_grams(std::span<const at::Tensor> first,
                                                      std::span<const at::Tensor> second) const {
  IndependentGrams grams;
  tensor::translate_errors("engine::MultiTaskBackward",
                           [&] { grams = impl_->independent_grams(first, second); });
  return grams;
}

Matrix MultiTaskBackward::estimated_gram(std::span<const at::Tensor> losses_of_part) const {
  Matrix gram;
  tensor::translate_errors("engine::MultiTaskBackward",
                           [&] { gram = tensor::gram(impl_->rows_of(losses_of_part)); });
  return gram;
}

void MultiTaskBackward::set_independent(std::span<const at::Tensor> first,
                                        std::span<const at::Tensor> second) {
  impl_->next.independent = independent_grams(first, second);
}

void MultiTaskBackward::set_estimate(std::span<const at::Tensor> losses_of_part) {
  impl_->next.estimate = estimated_gram(losses_of_part);
}

bool MultiTaskBackward::wants_independent() const {
  return impl_->solver.needs() == balance::MethodClass::kCross && !impl_->at_features();
}

bool MultiTaskBackward::wants_estimate() const {
  const solver::Solver& solver = impl_->solver;
  if (!solver.sees_gram_alone() || impl_->at_features() || solver.by_group()) return false;
  return impl_->diagnosis_due() ? solver.method().state().is_null() : impl_->estimate_good_enough();
}

void MultiTaskBackward::after_step(std::span<const at::Tensor> losses) {
  Impl& impl = *impl_;
  if (!impl.solver.method().wants_losses_after_step() || impl.present.empty()) return;
  DETENTE_CHECK(losses.size() == impl.tasks(),
                ErrorCode::kShape,
                "[engine::MultiTaskBackward] after_step: expected {} losses, got {}.",
                impl.tasks(),
                losses.size());
  std::vector<double> values;
  for (const std::size_t i : impl.present) {
    if (impl.parts[i] == 0) {
      values.push_back(0.0);  // another process has the task
      continue;
    }
    DETENTE_CHECK(losses[i].defined() && losses[i].numel() == 1,
                  ErrorCode::kInvalidArgument,
                  "[engine::MultiTaskBackward] after_step: the loss of task '{}', which took part "
                  "in the step, is missing or no scalar.",
                  impl.names()[i]);
    values.push_back(impl.parts[i] * losses[i].item<double>());
  }
  impl.group->sum(values);
  impl.solver.losses_after_step(values);
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
