// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/distill/schedules.h>
#include <detente/simd/adamw.h>
#include <detente/tensor/group.h>
#include <detente/tensor/parallel.h>
#include <detente/train/adamw.h>
#include <detente/train/next_move.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>

namespace detente::train {
namespace {

using simd::AdamWFactors;

// The same numbers as with a dense gradient that is zero outside `ids` (ascending), which is
// neither written nor read.
template <class T>
void adamw_update_rows(at::Tensor& theta,
                       const at::Tensor& ids,
                       const at::Tensor& values,
                       at::Tensor& m,
                       at::Tensor& v,
                       const AdamWFactors& f) {
  T* theta_data = theta.data_ptr<T>();
  T* m_data = m.data_ptr<T>();
  T* v_data = v.data_ptr<T>();
  const T* values_data = values.data_ptr<T>();
  const std::int64_t* first = ids.data_ptr<std::int64_t>();
  const std::int64_t* last = first + ids.numel();
  const std::int64_t rows = theta.size(0);
  const std::int64_t width = theta.numel() / std::max<std::int64_t>(rows, 1);
  const std::int64_t grain = (std::int64_t{1} << 16) / std::max<std::int64_t>(width, 1) + 1;
  tensor::parallel_for(0, rows, grain, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t* next = std::lower_bound(first, last, begin);
    for (std::int64_t row = begin; row < end;) {
      const std::int64_t stop = next < last ? std::min(*next, end) : end;
      const std::int64_t at = row * width;
      simd::adamw_update(theta_data + at,
                         static_cast<const T*>(nullptr),
                         m_data + at,
                         v_data + at,
                         (stop - row) * width,
                         f);
      row = stop;
      if (row == end) break;
      simd::adamw_update(theta_data + row * width,
                         values_data + (next - first) * width,
                         m_data + row * width,
                         v_data + row * width,
                         width,
                         f);
      ++next;
      ++row;
    }
  });
}

// `gradient`: contiguous, or sparse in the first dimension and coalesced.
template <class T>
void adamw_update_cpu(at::Tensor& theta,
                      const at::Tensor& gradient,
                      at::Tensor& m,
                      at::Tensor& v,
                      const AdamWFactors& f) {
  if (gradient.is_sparse()) {
    adamw_update_rows<T>(
        theta, gradient.indices().contiguous(), gradient.values().contiguous(), m, v, f);
    return;
  }
  T* theta_data = theta.data_ptr<T>();
  const T* gradient_data = gradient.data_ptr<T>();
  T* m_data = m.data_ptr<T>();
  T* v_data = v.data_ptr<T>();
  tensor::parallel_for(0, theta.numel(), 1 << 16, [&](std::int64_t begin, std::int64_t end) {
    simd::adamw_update(
        theta_data + begin, gradient_data + begin, m_data + begin, v_data + begin, end - begin, f);
  });
}

// Of the whole tensor, whoever keeps a part of its moments.
double clip_factor(const at::Tensor& gradient, double most) {
  const at::Tensor values = gradient.is_sparse() ? gradient.coalesce().values() : gradient;
  const double norm = values.norm().item<double>();
  return norm + 1e-6 <= most ? 1.0 : most / (norm + 1e-6);
}

at::Tensor clipped(const at::Tensor& gradient, double most) {
  const double factor = clip_factor(gradient, most);
  return factor == 1.0 ? gradient : gradient * factor;
}

void adamw_update_generic(at::Tensor& theta,
                          const at::Tensor& gradient,
                          at::Tensor& m,
                          at::Tensor& v,
                          const AdamWFactors& f) {
  m.mul_(f.beta1).add_(gradient, 1.0 - f.beta1);
  v.mul_(f.beta2).addcmul_(gradient, gradient, 1.0 - f.beta2);
  theta.mul_(f.decay).addcdiv_(m, v.sqrt().mul_(f.scale).add_(f.eps), -f.step_size);
}

}  // namespace

void AdamWOptions::describe(FieldVisitor& visitor) {
  visitor.number("lr", lr, {.min = 0, .max = 10, .min_open = true}, "Peak learning rate.");
  visitor.number("weight_decay",
                 weight_decay,
                 {.min = 0, .max = 1},
                 "Decoupled weight decay; not applied to one-dimensional parameters (biases, "
                 "gains) nor to uncertainty weights.");
  visitor.number("beta1",
                 beta1,
                 {.min = 0, .max = 1, .max_open = true},
                 "Decay of the gradient's running mean.");
  visitor.number("beta2",
                 beta2,
                 {.min = 0, .max = 1, .max_open = true},
                 "Decay of the squared gradient's running mean.");
  visitor.number("last_weight_decay",
                 last_weight_decay,
                 {.min = -1, .max = 1},
                 "weight_decay moves to this by half a cosine in the course of the run (DINO: 0.04 "
                 "to 0.4); below 0: it stays.");
  visitor.number("clip_each",
                 clip_each,
                 {.min = 0, .max = 1e9},
                 "The gradient of each parameter tensor is cut to this norm by itself (DINO: 3); "
                 "0: no. engine.clip_norm cuts that of all together.");
  visitor.number("eps", eps, {.min = 0, .max = 1, .min_open = true}, "Added to the denominator.");
}

struct AdamW::Impl {
  struct Slot {
    std::string name;
    at::Tensor theta;
    at::Tensor
        m;  // of the numbers [begin, end) of theta; where nobody shares of all, with theta's shape
    at::Tensor v;
    bool decays = true;
    double rate = 1.0;
    std::int64_t begin = 0;
    std::int64_t end = 0;
    std::int64_t missed = 0;  // steps without a gradient
  };
  AdamWOptions options;
  std::vector<Slot> slots;
  std::int64_t steps = 0;
  std::shared_ptr<tensor::Group> sharers;  // null: nobody
  std::int64_t each = 0;                   // numbers that each of them keeps, but for the last

  // Of the slot's own step number t, from 1.
  AdamWFactors factors(const Slot& slot, std::int64_t t, double factor, double decay) const;
  at::Tensor own(const Slot& slot, const at::Tensor& whole) const {
    if (sharers == nullptr) return whole;
    return whole.view({-1}).narrow(0, slot.begin, slot.end - slot.begin);
  }
  void share(const NamedTensors& parameters);
  void exchange();
  at::Tensor whole(const Slot& slot, const at::Tensor& own_part) const;
};

AdamWFactors AdamW::Impl::factors(const Slot& slot,
                                  std::int64_t t,
                                  double factor,
                                  double decay) const {
  const double lr = options.lr * factor;
  const auto steps_of_slot = static_cast<double>(t);
  return {slot.decays ? 1.0 - slot.rate * lr * decay : 1.0,
          options.beta1,
          options.beta2,
          slot.rate * (lr / (1.0 - std::pow(options.beta1, steps_of_slot))),
          1.0 / std::sqrt(1.0 - std::pow(options.beta2, steps_of_slot)),
          options.eps};
}

// The numbers of all parameters in a row, in as many even parts as there are processes.
void AdamW::Impl::share(const NamedTensors& parameters) {
  std::int64_t all = 0;
  for (const auto& [name, theta] : parameters) all += theta.numel();
  each = (all + sharers->size() - 1) / sharers->size();
  const std::int64_t first = each * sharers->rank();
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    Slot& slot = slots[i];
    const std::int64_t size = slot.theta.numel();
    slot.begin = std::clamp<std::int64_t>(first - offset, 0, size);
    slot.end = std::clamp<std::int64_t>(first + each - offset, 0, size);
    offset += size;
    slot.m = at::zeros({slot.end - slot.begin}, slot.theta.options().requires_grad(false));
    slot.v = at::zeros_like(slot.m);
  }
}

// Everybody gets what the others have moved.
void AdamW::Impl::exchange() {
  if (slots.empty()) return;
  at::Tensor mine = at::zeros({each}, slots[0].theta.options().requires_grad(false));
  std::int64_t place = 0;
  for (const Slot& slot : slots) {
    const std::int64_t size = slot.end - slot.begin;
    mine.narrow(0, place, size).copy_(own(slot, slot.theta.detach()));
    place += size;
  }
  at::Tensor all = at::empty({each * sharers->size()}, mine.options());
  sharers->gather(mine, all);
  std::int64_t offset = 0;
  for (const Slot& slot : slots) {
    at::Tensor theta = slot.theta.detach().view({-1});
    theta.copy_(all.narrow(0, offset, theta.numel()));
    offset += theta.numel();
  }
}

at::Tensor AdamW::Impl::whole(const Slot& slot, const at::Tensor& own_part) const {
  if (sharers == nullptr) return own_part;
  at::Tensor all = at::zeros({slot.theta.numel()}, own_part.options());
  all.narrow(0, slot.begin, slot.end - slot.begin).copy_(own_part);
  sharers->sum(all);
  return all.view(slot.theta.sizes());
}

AdamW::AdamW(NamedTensors parameters,
             const AdamWOptions& options,
             const std::vector<double>& rates,
             std::shared_ptr<tensor::Group> sharers)
    : impl_(std::make_unique<Impl>()) {
  impl_->options = options;
  if (sharers != nullptr && sharers->size() > 1) impl_->sharers = std::move(sharers);
  for (auto& [name, theta] : parameters) {
    DETENTE_CHECK(theta.is_contiguous(),
                  ErrorCode::kUnsupported,
                  "[train::AdamW] parameter '{}' is not contiguous.",
                  name);
    Impl::Slot& slot = impl_->slots.emplace_back();
    slot.name = name;
    slot.theta = theta;
    slot.decays = theta.dim() >= 2;
    if (impl_->sharers == nullptr) {
      slot.m = at::zeros_like(theta).requires_grad_(false);
      slot.v = at::zeros_like(theta).requires_grad_(false);
    }
    const std::size_t place = impl_->slots.size() - 1;
    if (place < rates.size()) impl_->slots.back().rate = rates[place];
  }
  if (impl_->sharers != nullptr) impl_->share(parameters);
}

AdamW::~AdamW() = default;
AdamW::AdamW(AdamW&&) noexcept = default;
AdamW& AdamW::operator=(AdamW&&) noexcept = default;

double decay_course(const AdamWOptions& options, std::int64_t step, std::int64_t total) {
  if (options.last_weight_decay < 0) return options.weight_decay;
  return distill::cosine_course(options.weight_decay, options.last_weight_decay, step, total);
}

void AdamW::step(double factor) { step(factor, impl_->options.weight_decay); }

void AdamW::step(double factor, double weight_decay) {
  const torch::NoGradGuard no_grad;
  const AdamWOptions& o = impl_->options;
  ++impl_->steps;
  for (auto& slot : impl_->slots) {
    at::Tensor gradient = slot.theta.grad();
    if (!gradient.defined()) {
      ++slot.missed;
      continue;
    }
    const AdamWFactors f = impl_->factors(slot, impl_->steps - slot.missed, factor, weight_decay);
    if (o.clip_each > 0) gradient = clipped(gradient, o.clip_each);
    at::Tensor theta = impl_->own(slot, slot.theta.detach());
    const bool by_rows = gradient.is_sparse() && impl_->sharers == nullptr &&
                         gradient.sparse_dim() == 1 && theta.is_cpu() &&
                         (theta.scalar_type() == at::kFloat || theta.scalar_type() == at::kDouble);
    if (by_rows) {
      gradient = gradient.coalesce();
    } else {
      gradient = (gradient.is_sparse() ? gradient.to_dense() : gradient).contiguous();
      gradient = impl_->own(slot, gradient);
    }
    if (theta.is_cpu() && theta.scalar_type() == at::kFloat) {
      adamw_update_cpu<float>(theta, gradient, slot.m, slot.v, f);
    } else if (theta.is_cpu() && theta.scalar_type() == at::kDouble) {
      adamw_update_cpu<double>(theta, gradient, slot.m, slot.v, f);
    } else {
      adamw_update_generic(theta, gradient, slot.m, slot.v, f);
    }
  }
  if (impl_->sharers != nullptr) impl_->exchange();
}

NextMove AdamW::next_move(std::size_t p, double factor, double weight_decay) const {
  DETENTE_CHECK(
      impl_->sharers == nullptr,
      ErrorCode::kUnsupported,
      "[train::AdamW] no process knows how all numbers move where each keeps the moments of "
      "some.");
  const torch::NoGradGuard no_grad;
  const AdamWOptions& o = impl_->options;
  const Impl::Slot& slot = impl_->slots.at(p);
  at::Tensor gradient = slot.theta.grad();
  if (!gradient.defined()) return {};
  if (gradient.is_sparse()) gradient = gradient.to_dense();
  const double share = o.clip_each > 0 ? clip_factor(gradient, o.clip_each) : 1.0;
  const at::Tensor cut = gradient * share;
  const AdamWFactors f = impl_->factors(slot, impl_->steps + 1 - slot.missed, factor, weight_decay);
  const at::Tensor below =
      (slot.v * f.beta2).addcmul_(cut, cut, 1.0 - f.beta2).sqrt_().mul_(f.scale).add_(f.eps);
  const at::Tensor each = below.reciprocal_().mul_(f.step_size);
  return {.factor = each * ((1.0 - f.beta1) * share),
          .gradient = gradient,
          .past = each * slot.m * f.beta1,
          // Not 1 - f.decay, which has lost its digits.
          .decay = slot.decays ? slot.rate * o.lr * factor * weight_decay : 0.0};
}

NamedTensors AdamW::state() const {
  NamedTensors state;
  for (const auto& slot : impl_->slots) {
    state.emplace_back("m." + slot.name, impl_->whole(slot, slot.m));
    state.emplace_back("v." + slot.name, impl_->whole(slot, slot.v));
  }
  const auto& slots = impl_->slots;
  if (std::any_of(slots.begin(), slots.end(), [](const auto& slot) { return slot.missed > 0; })) {
    std::vector<std::int64_t> missed;
    for (const auto& slot : slots) missed.push_back(slot.missed);
    state.emplace_back("missed", torch::tensor(missed, torch::kInt64));
  }
  return state;
}

void AdamW::load_state(const NamedTensors& state, std::int64_t steps) {
  const auto find = [&](const std::string& name, const at::Tensor& like) {
    for (const auto& [key, tensor] : state) {
      if (key != name) continue;
      DETENTE_CHECK(tensor.sizes() == like.sizes(),
                    ErrorCode::kData,
                    "[train::AdamW] the snapshot's '{}' has another shape than the model's "
                    "parameter; it belongs to another model.",
                    name);
      return tensor;
    }
    fail(ErrorCode::kData,
         "[train::AdamW] the snapshot has no '{}'; it belongs to another model.",
         name);
  };
  const torch::NoGradGuard no_grad;
  for (auto& slot : impl_->slots) {
    slot.m.copy_(impl_->own(slot, find("m." + slot.name, slot.theta)));
    slot.v.copy_(impl_->own(slot, find("v." + slot.name, slot.theta)));
  }
  impl_->steps = steps;
  for (auto& slot : impl_->slots) slot.missed = 0;
  for (const auto& [key, tensor] : state) {
    if (key != "missed") continue;
    DETENTE_CHECK(tensor.numel() == static_cast<std::int64_t>(impl_->slots.size()),
                  ErrorCode::kData,
                  "[train::AdamW] the snapshot counts the steps of {} parameters, the model has "
                  "{}; it belongs to another model.",
                  tensor.numel(),
                  impl_->slots.size());
    const at::Tensor missed = tensor.to(at::kCPU, at::kLong).contiguous();
    for (std::size_t i = 0; i < impl_->slots.size(); ++i) {
      impl_->slots[i].missed = missed.data_ptr<std::int64_t>()[i];
    }
  }
}

std::int64_t AdamW::steps() const { return impl_->steps; }

}  // namespace detente::train
