// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/registry.h>
#include <detente/config/tree.h>
#include <detente/core/error.h>
#include <detente/train/method_list.h>
#include <torch/types.h>

#include <algorithm>
#include <string>

namespace detente::train {
namespace {

at::Tensor tensor_of(const balance::StateArray& array) {
  const std::vector<std::int64_t> shape(array.shape.begin(), array.shape.end());
  return std::visit(
      [&](const auto& values) {
        using T = typename std::decay_t<decltype(values)>::value_type;
        at::Tensor tensor = torch::empty(shape, torch::CppTypeToScalarType<T>::value);
        DETENTE_CHECK(static_cast<std::size_t>(tensor.numel()) == values.size(),
                      ErrorCode::kInternal,
                      "[train::methods_tensors] the method's array '{}' has {} numbers; its shape "
                      "says {}.",
                      array.name,
                      values.size(),
                      tensor.numel());
        std::copy(values.begin(), values.end(), tensor.template data_ptr<T>());
        return tensor;
      },
      array.values);
}

template <class T>
std::vector<T> values_of(const at::Tensor& tensor) {
  const T* data = tensor.data_ptr<T>();
  return {data, data + tensor.numel()};
}

balance::StateArray array_of(const std::string& name, const at::Tensor& tensor) {
  balance::StateArray array{name, {tensor.sizes().begin(), tensor.sizes().end()}, {}};
  if (tensor.scalar_type() == torch::kFloat32) {
    array.values = values_of<float>(tensor);
  } else {
    array.values = values_of<double>(tensor.to(torch::kFloat64));
  }
  return array;
}

}  // namespace

MethodList methods_like(balance::Method& method, std::size_t n) {
  const Describe options = [&](FieldVisitor& visitor) { method.describe(visitor); };
  const bool has_options = !list_fields(options).empty();
  MethodList methods;
  for (std::size_t i = 0; i < n; ++i) {
    std::shared_ptr<balance::Method> copy = balance::make_method(method.name());
    if (has_options) {
      config::read_fields(config::parse_yaml(config::to_yaml(options), method.name()),
                          [&](FieldVisitor& visitor) { copy->describe(visitor); });
    }
    methods.push_back(std::move(copy));
  }
  return methods;
}

Json methods_state(const MethodList& methods) {
  if (methods.size() == 1) return methods[0]->state();
  Json states = Json::array();
  for (const auto& method : methods) states.push_back(method->state());
  return states;
}

void load_methods_state(const MethodList& methods, const Json& state) {
  if (methods.size() == 1) {
    methods[0]->load_state(state);
    return;
  }
  DETENTE_CHECK(state.is_array() && state.size() == methods.size(),
                ErrorCode::kData,
                "[train::load_methods_state] the saved state is not that of {} groups' methods.",
                methods.size());
  for (std::size_t i = 0; i < methods.size(); ++i) methods[i]->load_state(state[i]);
}

std::vector<balance::StateArray> methods_arrays(const MethodList& methods) {
  if (methods.size() == 1) return methods[0]->state_arrays();
  std::vector<balance::StateArray> all;
  for (std::size_t i = 0; i < methods.size(); ++i) {
    for (balance::StateArray& array : methods[i]->state_arrays()) {
      array.name = std::to_string(i) + "." + array.name;
      all.push_back(std::move(array));
    }
  }
  return all;
}

void load_methods_arrays(const MethodList& methods, std::vector<balance::StateArray> arrays) {
  if (methods.size() == 1) {
    methods[0]->load_state_arrays(std::move(arrays));
    return;
  }
  for (std::size_t i = 0; i < methods.size(); ++i) {
    const std::string prefix = std::to_string(i) + ".";
    std::vector<balance::StateArray> own;
    for (const balance::StateArray& array : arrays) {
      if (!array.name.starts_with(prefix)) continue;
      own.push_back(array);
      own.back().name.erase(0, prefix.size());
    }
    methods[i]->load_state_arrays(std::move(own));
  }
}

NamedTensors methods_tensors(const MethodList& methods) {
  NamedTensors tensors;
  for (const balance::StateArray& array : methods_arrays(methods)) {
    tensors.emplace_back(array.name, tensor_of(array));
  }
  return tensors;
}

void load_methods_tensors(const MethodList& methods, const NamedTensors& tensors) {
  std::vector<balance::StateArray> arrays;
  for (const auto& [name, tensor] : tensors) arrays.push_back(array_of(name, tensor));
  load_methods_arrays(methods, std::move(arrays));
}

}  // namespace detente::train
