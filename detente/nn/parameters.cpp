// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/parameters.h>
#include <torch/types.h>
#include <torch/utils.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace detente::nn {
namespace {

at::Tensor filled(const Sizes& shape, const std::function<double()>& next) {
  at::Tensor tensor = torch::empty(shape, torch::kFloat32);
  float* data = tensor.data_ptr<float>();
  for (std::int64_t i = 0; i < tensor.numel(); ++i) data[i] = static_cast<float>(next());
  return tensor;
}

}  // namespace

at::Tensor Draw::uniform(const Sizes& shape, double bound) {
  return filled(shape, [&] { return bound * (2.0 * rng_.uniform() - 1.0); });
}

at::Tensor Draw::normal(const Sizes& shape, double deviation) {
  return filled(shape, [&] { return deviation * rng_.normal(); });
}

Dropout::Dropout(Rng* rng) {
  if (rng != nullptr) rng_ = Rng((*rng)());
}

at::Tensor Dropout::mask(const at::Tensor& like, double keep) {
  at::Tensor mask = torch::empty(like.sizes(), torch::kFloat32);
  float* out = mask.data_ptr<float>();
  float* const end = out + mask.numel();
  const auto limit = static_cast<std::uint64_t>(std::lround(keep * 65536.0));
  // Four entries from each random number.
  while (out < end) {
    std::uint64_t bits = (*rng_)();
    for (int i = 0; i < 4 && out < end; ++i, bits >>= 16U) {
      *out++ = (bits & 0xffffU) < limit ? 1.0F : 0.0F;
    }
  }
  return mask.to(like.options());
}

at::Tensor Dropout::operator()(const at::Tensor& x, double share) {
  if (!on() || share <= 0) return x;
  return x * mask(x, 1.0 - share).div_(1.0 - share);
}

Parameters::Parameters() = default;
Parameters::~Parameters() = default;
Parameters::Parameters(Parameters&&) noexcept = default;
Parameters& Parameters::operator=(Parameters&&) noexcept = default;

Parameters::Parameters(const Parameters& other) : places_(other.places_) {
  for (const auto& [name, tensor] : other.trained_) {
    trained_.emplace_back(name, tensor.detach().clone().set_requires_grad(true));
  }
  for (const auto& [name, tensor] : other.fixed_) {
    fixed_.emplace_back(name, tensor.detach().clone());
  }
}

Parameters& Parameters::operator=(const Parameters& other) {
  if (this != &other) *this = Parameters(other);
  return *this;
}

void Parameters::add(const std::string& name, const at::Tensor& value) {
  DETENTE_DCHECK(!has(name));
  places_[name] = {true, trained_.size()};
  trained_.emplace_back(name, value.detach().set_requires_grad(true));
}

void Parameters::add_fixed(const std::string& name, const at::Tensor& value) {
  DETENTE_DCHECK(!has(name));
  places_[name] = {false, fixed_.size()};
  fixed_.emplace_back(name, value.detach());
}

void Parameters::add_exact(const std::string& name, const at::Tensor& value) {
  add_fixed(name, value.to(torch::kFloat64));
  places_[name].exact = true;
}

void Parameters::add_linear(
    Draw& draw, const std::string& name, std::int64_t in, std::int64_t out, double scale) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(in));
  add(name + ".weight", draw.uniform({out, in}, scale * bound));
  add(name + ".bias", draw.uniform({out}, bound));
}

void Parameters::adopt(const std::string& prefix, const Parameters& other) {
  for (const auto& [name, place] : other.places_) DETENTE_DCHECK(!has(prefix + name));
  for (const auto& [name, tensor] : other.trained_) {
    places_[prefix + name] = {true, trained_.size()};
    trained_.emplace_back(prefix + name, tensor);
  }
  for (const auto& [name, tensor] : other.fixed_) {
    places_[prefix + name] = {false, fixed_.size(), other.places_.at(name).exact};
    fixed_.emplace_back(prefix + name, tensor);
  }
}

void Parameters::add_norm(const std::string& name, std::int64_t width) {
  add(name + ".weight", torch::ones({width}));
  add(name + ".bias", torch::zeros({width}));
}

const at::Tensor& Parameters::operator()(const std::string& name) const {
  const auto found = places_.find(name);
  if (found == places_.end()) {
    fail(ErrorCode::kInternal, "[nn::Parameters] there is no tensor '{}'.", name);
  }
  const Place& place = found->second;
  return (place.trained ? trained_ : fixed_)[place.index].second;
}

at::Tensor Parameters::linear(const at::Tensor& x, const std::string& name) const {
  return torch::linear(x, (*this)(name + ".weight"), (*this)(name + ".bias"));
}

at::Tensor Parameters::norm(const at::Tensor& x, const std::string& name) const {
  return torch::layer_norm(x, {x.size(-1)}, (*this)(name + ".weight"), (*this)(name + ".bias"));
}

TensorList Parameters::trained_tensors() const {
  TensorList tensors;
  for (const auto& [name, tensor] : trained_) tensors.push_back(tensor);
  return tensors;
}

std::vector<std::string> Parameters::trained_names() const {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : trained_) names.push_back(name);
  return names;
}

std::int64_t Parameters::trained_count() const {
  std::int64_t count = 0;
  for (const auto& [name, tensor] : trained_) count += tensor.numel();
  return count;
}

void Parameters::assign(const std::string& name, std::span<const double> values) {
  const torch::NoGradGuard no_grad;
  at::Tensor target = (*this)(name);
  const at::Tensor source =
      torch::tensor(at::ArrayRef<double>(values.data(), values.size()), torch::kFloat64);
  target.copy_(source.view(target.sizes()));
}

void Parameters::to(tensor::Device device, tensor::DType dtype) {
  const torch::NoGradGuard no_grad;
  const at::TensorOptions target = tensor::tensor_options(device, dtype);
  for (auto& [name, tensor] : trained_) {
    tensor = tensor.detach().to(target).set_requires_grad(true);
  }
  for (auto& [name, tensor] : fixed_) {
    tensor =
        places_.at(name).exact ? tensor.detach().to(target.device()) : tensor.detach().to(target);
  }
}

namespace {

// PyTorch's DataParallel and DistributedDataParallel put a word before every name.
NamedTensors without_wrapper(NamedTensors state) {
  static constexpr std::string_view kWrapper = "module.";
  const bool wrapped = !state.empty() && std::all_of(state.begin(), state.end(), [](const auto& e) {
    return e.first.starts_with(kWrapper);
  });
  if (!wrapped) return state;
  for (auto& [name, tensor] : state) name.erase(0, kWrapper.size());
  return state;
}

}  // namespace

void load_named(const NamedTensors& given, const NamedTensors& own) {
  const NamedTensors state = without_wrapper(given);
  const auto find = [](const NamedTensors& list, const std::string& name) {
    return std::find_if(
        list.begin(), list.end(), [&](const auto& entry) { return entry.first == name; });
  };
  for (const auto& [name, tensor] : state) {
    const auto known = find(own, name);
    DETENTE_CHECK(
        known != own.end(),
        ErrorCode::kData,
        "[nn::load_named] the file holds '{}', which this model does not have; it belongs "
        "to another recipe.",
        name);
    DETENTE_CHECK(known->second.sizes() == tensor.sizes(),
                  ErrorCode::kData,
                  "[nn::load_named] '{}' has another shape in the file ({} numbers) than in this "
                  "model ({}); it belongs to another recipe.",
                  name,
                  tensor.numel(),
                  known->second.numel());
  }
  const torch::NoGradGuard no_grad;
  for (const auto& [name, target] : own) {
    const auto found = find(state, name);
    DETENTE_CHECK(found != state.end(),
                  ErrorCode::kData,
                  "[nn::load_named] the file has no '{}'; it is damaged or belongs to another "
                  "recipe.",
                  name);
    at::Tensor writable = target;
    writable.copy_(found->second);
  }
}

NamedTensors with_prefix(const NamedTensors& named, std::string_view prefix) {
  NamedTensors all;
  for (const auto& [name, tensor] : named) all.emplace_back(std::string(prefix) + name, tensor);
  return all;
}

NamedTensors without_prefix(const NamedTensors& named, std::string_view prefix) {
  NamedTensors found;
  for (const auto& [name, tensor] : named) {
    if (name.starts_with(prefix)) found.emplace_back(name.substr(prefix.size()), tensor);
  }
  return found;
}

}  // namespace detente::nn
