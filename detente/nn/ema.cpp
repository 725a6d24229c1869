// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <detente/core/error.h>
#include <detente/nn/ema.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <unordered_map>
#include <vector>

namespace detente::nn {
namespace {

constexpr const char* kAveragePrefix = "average.";
constexpr const char* kCounts = "counts";

at::ScalarType average_type(at::ScalarType type) {
  if (!at::isFloatingType(type) || type == at::kDouble) return type;
  return at::kFloat;
}

std::unordered_map<std::string, at::Tensor> by_name(const NamedTensors& tensors) {
  return {tensors.begin(), tensors.end()};
}

void check_shape(const std::string& name, const at::Tensor& found, const at::Tensor& expected) {
  DETENTE_CHECK(found.sizes() == expected.sizes(),
                ErrorCode::kShape,
                "[nn::ema] '{}' has {} numbers in another shape; expected {}.",
                name,
                found.numel(),
                expected.numel());
}

void check_decay(double decay) {
  DETENTE_CHECK(decay >= 0 && decay <= 1,
                ErrorCode::kInvalidArgument,
                "[nn::ema] decay must be in [0, 1], got {}.",
                decay);
}

}  // namespace

void EmaOptions::describe(FieldVisitor& visitor) {
  visitor.number("decay",
                 decay,
                 {.min = 0, .max = 1, .max_open = true},
                 "What the average keeps of itself at each update.");
  visitor.choice("schedule",
                 schedule,
                 {{"constant", Schedule::kConstant},
                  {"warmup", Schedule::kWarmup},
                  {"cosine", Schedule::kCosine}},
                 "How the decay goes: as it is, up to it from 1/10, or from it to 1 in `steps` "
                 "updates along a cosine.");
  visitor.integer("steps", steps, {.min = 1}, "schedule cosine: the updates after which it is 1.");
  visitor.choice("start",
                 start,
                 {{"values", Start::kValues}, {"zero", Start::kZero}},
                 "values: from the first values. zero: the mean of what came after them alone, "
                 "with Adam's correction of the bias.");
}

double ema_decay(const EmaOptions& options, std::int64_t t) {
  const auto step = static_cast<double>(t);
  switch (options.schedule) {
    case EmaOptions::Schedule::kConstant:
      break;
    case EmaOptions::Schedule::kWarmup:
      return std::min(options.decay, step / (9.0 + step));
    case EmaOptions::Schedule::kCosine: {
      const double share = std::min(1.0, step / static_cast<double>(options.steps));
      return 1.0 - (1.0 - options.decay) * (1.0 + std::cos(std::numbers::pi * share)) / 2.0;
    }
  }
  return options.decay;
}

void follow(at::Tensor& average, const at::Tensor& value, double decay) {
  check_decay(decay);
  const at::NoGradGuard no_grad;
  if (at::isFloatingType(average.scalar_type())) {
    average.lerp_(value.detach().to(average.scalar_type()), 1.0 - decay);
  } else {
    average.copy_(value);
  }
}

struct Ema::Impl {
  NamedTensors followed;
  EmaOptions options;
  TensorList averages;  // a_t; of tensors that are not averaged, the last values
  TensorList first;     // start `zero`: θ_0, as long as c_t = 1; else empty
  std::int64_t updates = 0;
  double kept = 1;  // c_t

  at::Tensor average(std::size_t i) const {
    const at::Tensor& tensor = averages[i];
    if (!at::isFloatingType(tensor.scalar_type())) return tensor;
    if (options.start == EmaOptions::Start::kValues) return tensor;
    return first.empty() ? tensor.div(1.0 - kept) : first[i];
  }
};

Ema::Ema(NamedTensors followed, const EmaOptions& options) : impl_(std::make_unique<Impl>()) {
  EmaOptions checked = options;
  validate_fields([&](FieldVisitor& visitor) { checked.describe(visitor); }, "[nn::ema]");
  const at::NoGradGuard no_grad;
  impl_->options = options;
  impl_->followed = std::move(followed);
  const bool zero = options.start == EmaOptions::Start::kZero;
  for (const auto& [name, tensor] : impl_->followed) {
    at::Tensor copy = tensor.detach().to(
        average_type(tensor.scalar_type()), /*non_blocking=*/false, /*copy=*/true);
    if (zero) {
      impl_->first.push_back(copy);
      if (at::isFloatingType(copy.scalar_type())) copy = at::zeros_like(copy);
    }
    impl_->averages.push_back(std::move(copy));
  }
}

Ema::~Ema() = default;
Ema::Ema(Ema&&) noexcept = default;
Ema& Ema::operator=(Ema&&) noexcept = default;

void Ema::update() { update(ema_decay(impl_->options, impl_->updates + 1)); }

void Ema::update(double decay) {
  check_decay(decay);
  const at::NoGradGuard no_grad;
  ++impl_->updates;
  impl_->kept *= decay;
  if (impl_->kept < 1.0) impl_->first.clear();
  for (std::size_t i = 0; i < impl_->averages.size(); ++i) {
    follow(impl_->averages[i], impl_->followed[i].second, decay);
  }
}

std::int64_t Ema::updates() const { return impl_->updates; }

NamedTensors Ema::average() const {
  const at::NoGradGuard no_grad;
  NamedTensors result;
  for (std::size_t i = 0; i < impl_->averages.size(); ++i) {
    const auto& [name, followed] = impl_->followed[i];
    result.emplace_back(
        name, impl_->average(i).to(followed.scalar_type(), /*non_blocking=*/false, /*copy=*/true));
  }
  return result;
}

void Ema::copy_to(const NamedTensors& targets) const {
  const at::NoGradGuard no_grad;
  const auto known = by_name(targets);
  for (std::size_t i = 0; i < impl_->averages.size(); ++i) {
    const std::string& name = impl_->followed[i].first;
    const auto target = known.find(name);
    DETENTE_CHECK(target != known.end(),
                  ErrorCode::kData,
                  "[nn::ema] there is no tensor '{}' to write the average to.",
                  name);
    check_shape(name, target->second, impl_->averages[i]);
  }
  for (std::size_t i = 0; i < impl_->averages.size(); ++i) {
    at::Tensor(known.at(impl_->followed[i].first)).copy_(impl_->average(i));
  }
}

NamedTensors Ema::state() const {
  const at::NoGradGuard no_grad;
  NamedTensors state;
  for (std::size_t i = 0; i < impl_->averages.size(); ++i) {
    const at::Tensor& own = impl_->first.empty() ? impl_->averages[i] : impl_->first[i];
    state.emplace_back(kAveragePrefix + impl_->followed[i].first, own.clone());
  }
  at::Tensor counts = at::empty({2}, at::kDouble);
  counts.data_ptr<double>()[0] = static_cast<double>(impl_->updates);
  counts.data_ptr<double>()[1] = impl_->kept;
  state.emplace_back(kCounts, std::move(counts));
  return state;
}

void Ema::load_state(const NamedTensors& state) {
  const at::NoGradGuard no_grad;
  const auto known = by_name(state);
  const auto found = [&](const std::string& name) {
    const auto at = known.find(name);
    DETENTE_CHECK(at != known.end(),
                  ErrorCode::kData,
                  "[nn::ema] the saved state has no '{}'; it belongs to another model.",
                  name);
    return at->second;
  };
  DETENTE_CHECK(known.size() == impl_->followed.size() + 1,
                ErrorCode::kData,
                "[nn::ema] the saved state has {} tensors; expected {}, of another model it seems.",
                known.size(),
                impl_->followed.size() + 1);
  const at::Tensor counts = found(kCounts).to(at::kCPU, at::kDouble).contiguous();
  DETENTE_CHECK(counts.numel() == 2 && counts.data_ptr<double>()[0] >= 0,
                ErrorCode::kData,
                "[nn::ema] the saved state's 'counts' must be two numbers, not negative.");
  for (std::size_t i = 0; i < impl_->averages.size(); ++i) {
    const std::string name = kAveragePrefix + impl_->followed[i].first;
    DETENTE_CHECK(found(name).sizes() == impl_->averages[i].sizes(),
                  ErrorCode::kData,
                  "[nn::ema] the saved '{}' has another shape; it belongs to another model.",
                  name);
  }
  const bool young =
      impl_->options.start == EmaOptions::Start::kZero && counts.data_ptr<double>()[1] == 1.0;
  impl_->first.clear();
  for (std::size_t i = 0; i < impl_->averages.size(); ++i) {
    at::Tensor& average = impl_->averages[i];
    average.copy_(found(kAveragePrefix + impl_->followed[i].first));
    if (!young) continue;
    impl_->first.push_back(average.clone());
    if (at::isFloatingType(average.scalar_type())) average.zero_();
  }
  impl_->updates = static_cast<std::int64_t>(counts.data_ptr<double>()[0]);
  impl_->kept = counts.data_ptr<double>()[1];
}

}  // namespace detente::nn
