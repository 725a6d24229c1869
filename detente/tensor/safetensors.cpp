// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/safetensors_layout.h>
#include <detente/tensor/safetensors.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace detente::tensor {
namespace {

struct SafetensorsType {
  const char* name;
  at::ScalarType type;
};

constexpr SafetensorsType kSafetensorsTypes[] = {
    {"F32", at::kFloat},
    {"F64", at::kDouble},
    {"I64", at::kLong},
    {"BF16", at::kBFloat16},
    {"F16", at::kHalf},
};

}  // namespace

std::string to_safetensors(const NamedTensors& tensors, const Metadata& metadata) {
  std::vector<SafetensorsPart> parts;
  std::vector<at::Tensor> held;
  for (const auto& [name, tensor] : tensors) {
    const auto type = tensor.scalar_type();
    DETENTE_CHECK(type == at::kFloat || type == at::kDouble || type == at::kLong,
                  ErrorCode::kUnsupported,
                  "[tensor::write_safetensors] '{}' is {}; expected float32, float64 or int64.",
                  name,
                  at::toString(type));
    const auto* dtype = std::find_if(std::begin(kSafetensorsTypes),
                                     std::end(kSafetensorsTypes),
                                     [&](const auto& candidate) { return candidate.type == type; });
    const at::Tensor& whole = held.emplace_back(tensor.detach().cpu().contiguous());
    parts.push_back({.name = name,
                     .dtype = dtype->name,
                     .shape = tensor.sizes().vec(),
                     .bytes = {static_cast<const char*>(whole.data_ptr()), whole.nbytes()}});
  }
  return safetensors_content(parts, metadata);
}

void write_safetensors(const std::filesystem::path& path,
                       const NamedTensors& tensors,
                       const Metadata& metadata) {
  write_file_atomic(path, to_safetensors(tensors, metadata));
}

NamedTensors read_safetensors(const std::filesystem::path& path, Metadata* metadata, bool check) {
  return from_safetensors(read_file(path), path.string(), metadata, check);
}

NamedTensors from_safetensors(const std::string& content,
                              const std::string& name,
                              Metadata* metadata,
                              bool check) {
  const SafetensorsLayout layout = read_safetensors_layout(content, name, check);
  if (metadata != nullptr) *metadata = layout.metadata;
  NamedTensors tensors;
  const char* numbers = content.data() + layout.numbers;
  for (const SafetensorsEntry& entry : layout.entries) {
    const auto* dtype = std::find_if(
        std::begin(kSafetensorsTypes), std::end(kSafetensorsTypes), [&](const auto& candidate) {
          return candidate.name == entry.dtype;
        });
    at::Tensor tensor = at::empty(entry.shape, at::TensorOptions().dtype(dtype->type));
    std::memcpy(tensor.data_ptr(), numbers + entry.begin, entry.end - entry.begin);
    tensors.emplace_back(entry.name, tensor);
  }
  return tensors;
}

}  // namespace detente::tensor
