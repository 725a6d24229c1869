// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/tensor/safetensors.h>
#include <detente/train/snapshot.h>
#include <torch/types.h>

namespace detente::train {
namespace {

constexpr const char* kSnapshotFormat = "detente-snapshot-1";
constexpr const char* kModelPrefix = "model.";
constexpr const char* kOptimizerPrefix = "optimizer.";
constexpr const char* kMethodPrefix = "method.";

NamedTensors tensors_below(const NamedTensors& tensors, const std::string& prefix) {
  NamedTensors found;
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with(prefix)) found.emplace_back(name.substr(prefix.size()), tensor);
  }
  return found;
}

at::Tensor tensor_of(const balance::StateArray& array) {
  const std::vector<std::int64_t> shape(array.shape.begin(), array.shape.end());
  return std::visit(
      [&](const auto& values) {
        using T = typename std::decay_t<decltype(values)>::value_type;
        at::Tensor tensor = torch::empty(shape, torch::CppTypeToScalarType<T>::value);
        DETENTE_CHECK(static_cast<std::size_t>(tensor.numel()) == values.size(),
                      ErrorCode::kInternal,
                      "[train::write_snapshot] the method's array '{}' has {} numbers; its shape "
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

void write_snapshot(const std::filesystem::path& path,
                    const RunState& state,
                    const nn::PairModel& model,
                    const AdamW& optimizer,
                    const MethodList& methods,
                    const std::string& recipe_yaml) {
  NamedTensors tensors;
  for (auto& [name, tensor] : model.state()) tensors.emplace_back(kModelPrefix + name, tensor);
  for (auto& [name, tensor] : optimizer.state()) {
    tensors.emplace_back(kOptimizerPrefix + name, tensor);
  }
  for (const balance::StateArray& array : methods_arrays(methods)) {
    tensors.emplace_back(kMethodPrefix + array.name, tensor_of(array));
  }
  tensor::write_safetensors(
      path,
      tensors,
      {{"format", kSnapshotFormat}, {"state", state.to_json().dump()}, {"recipe", recipe_yaml}});
}

SnapshotHeader read_snapshot(const std::filesystem::path& path, NamedTensors* tensors) {
  tensor::Metadata metadata;
  NamedTensors read = tensor::read_safetensors(path, &metadata);
  DETENTE_CHECK(metadata["format"] == kSnapshotFormat,
                ErrorCode::kData,
                "[train::read_snapshot] '{}' is a safetensors file but no snapshot of this version "
                "(format '{}', expected '{}').",
                path.string(),
                metadata["format"],
                kSnapshotFormat);
  SnapshotHeader header;
  try {
    header.state = RunState::from_json(Json::parse(metadata["state"]));
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorCode::kData,
         "[train::read_snapshot] '{}': the state cannot be read ({}).",
         path.string(),
         error.what());
  }
  header.recipe_yaml = metadata["recipe"];
  if (tensors != nullptr) *tensors = std::move(read);
  return header;
}

void restore_snapshot(const NamedTensors& tensors,
                      const RunState& state,
                      nn::PairModel& model,
                      AdamW& optimizer,
                      const MethodList& methods) {
  model.load_state(tensors_below(tensors, kModelPrefix));
  optimizer.load_state(tensors_below(tensors, kOptimizerPrefix), state.optimizer_steps);
  load_methods_state(methods, state.method_state);
  std::vector<balance::StateArray> arrays;
  for (const auto& [name, tensor] : tensors_below(tensors, kMethodPrefix)) {
    arrays.push_back(array_of(name, tensor));
  }
  load_methods_arrays(methods, std::move(arrays));
}

}  // namespace detente::train
