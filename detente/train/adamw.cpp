// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/tensor/clones.h>
#include <detente/tensor/parallel.h>
#include <detente/train/adamw.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <cmath>

namespace detente::train {
namespace {

struct AdamWFactors {
  double decay;  // 1 − η λ
  double beta1;
  double beta2;
  double step_size;  // η / (1 − β₁ᵗ)
  double scale;      // 1 / √(1 − β₂ᵗ)
  double eps;
};

// Without -fno-math-errno (see CMakeLists.txt) the square root keeps the loop from being vectorised.
#define DETENTE_ADAMW_KERNEL(name, T)                                                       \
  DETENTE_CLONES void name(T* __restrict theta,                                             \
                           const T* __restrict gradient,                                    \
                           T* __restrict m,                                                 \
                           T* __restrict v,                                                 \
                           std::int64_t count,                                              \
                           const AdamWFactors& f) {                                         \
    const T decay = static_cast<T>(f.decay);                                                \
    const T b1 = static_cast<T>(f.beta1);                                                   \
    const T b2 = static_cast<T>(f.beta2);                                                   \
    const T c1 = static_cast<T>(1.0 - f.beta1);                                             \
    const T c2 = static_cast<T>(1.0 - f.beta2);                                             \
    const T step_size = static_cast<T>(f.step_size);                                        \
    const T scale = static_cast<T>(f.scale);                                                \
    const T eps = static_cast<T>(f.eps);                                                    \
    for (std::int64_t i = 0; i < count; ++i) {                                              \
      const T g = gradient[i];                                                              \
      const T mean = b1 * m[i] + c1 * g;                                                    \
      const T square = b2 * v[i] + c2 * g * g;                                              \
      m[i] = mean;                                                                          \
      v[i] = square;                                                                        \
      theta[i] = decay * theta[i] - step_size * mean / (std::sqrt(square) * scale + eps);   \
    }                                                                                       \
  }
DETENTE_ADAMW_KERNEL(adamw_update, float)
DETENTE_ADAMW_KERNEL(adamw_update, double)
#undef DETENTE_ADAMW_KERNEL

template <class T>
void adamw_update_cpu(at::Tensor& theta,
                      const at::Tensor& gradient,
                      at::Tensor& m,
                      at::Tensor& v,
                      const AdamWFactors& f) {
  T* theta_data = theta.data_ptr<T>();
  const T* gradient_data = gradient.data_ptr<T>();
  T* m_data = m.data_ptr<T>();
  T* v_data = v.data_ptr<T>();
  tensor::parallel_for(0, theta.numel(), 1 << 16, [&](std::int64_t begin, std::int64_t end) {
    adamw_update(theta_data + begin,
                 gradient_data + begin,
                 m_data + begin,
                 v_data + begin,
                 end - begin,
                 f);
  });
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
  visitor.number("eps", eps, {.min = 0, .max = 1, .min_open = true}, "Added to the denominator.");
}

struct AdamW::Impl {
  struct Slot {
    std::string name;
    at::Tensor theta;
    at::Tensor m;
    at::Tensor v;
    bool decays = true;
  };
  AdamWOptions options;
  std::vector<Slot> slots;
  std::int64_t steps = 0;
};

AdamW::AdamW(NamedTensors parameters, const AdamWOptions& options)
    : impl_(std::make_unique<Impl>()) {
  impl_->options = options;
  for (auto& [name, theta] : parameters) {
    DETENTE_CHECK(theta.is_contiguous(),
                  ErrorCode::kUnsupported,
                  "[train::AdamW] parameter '{}' is not contiguous.",
                  name);
    impl_->slots.push_back({name,
                            theta,
                            at::zeros_like(theta).requires_grad_(false),
                            at::zeros_like(theta).requires_grad_(false),
                            theta.dim() >= 2});
  }
}

AdamW::~AdamW() = default;
AdamW::AdamW(AdamW&&) noexcept = default;
AdamW& AdamW::operator=(AdamW&&) noexcept = default;

void AdamW::step(double factor) {
  const torch::NoGradGuard no_grad;
  const AdamWOptions& o = impl_->options;
  const double t = static_cast<double>(++impl_->steps);
  const double lr = o.lr * factor;
  AdamWFactors f{1.0,
                 o.beta1,
                 o.beta2,
                 lr / (1.0 - std::pow(o.beta1, t)),
                 1.0 / std::sqrt(1.0 - std::pow(o.beta2, t)),
                 o.eps};
  for (auto& slot : impl_->slots) {
    if (!slot.theta.grad().defined()) continue;
    f.decay = slot.decays ? 1.0 - lr * o.weight_decay : 1.0;
    const at::Tensor gradient = slot.theta.grad().contiguous();
    at::Tensor theta = slot.theta.detach();
    if (theta.is_cpu() && theta.scalar_type() == at::kFloat) {
      adamw_update_cpu<float>(theta, gradient, slot.m, slot.v, f);
    } else if (theta.is_cpu() && theta.scalar_type() == at::kDouble) {
      adamw_update_cpu<double>(theta, gradient, slot.m, slot.v, f);
    } else {
      adamw_update_generic(theta, gradient, slot.m, slot.v, f);
    }
  }
}

NamedTensors AdamW::state() const {
  NamedTensors state;
  for (const auto& slot : impl_->slots) {
    state.emplace_back("m." + slot.name, slot.m);
    state.emplace_back("v." + slot.name, slot.v);
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
    slot.m.copy_(find("m." + slot.name, slot.m));
    slot.v.copy_(find("v." + slot.name, slot.v));
  }
  impl_->steps = steps;
}

std::int64_t AdamW::steps() const { return impl_->steps; }

}  // namespace detente::train
