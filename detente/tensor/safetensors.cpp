// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/manifest.h>
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
  Json header = Json::object();
  header[kSafetensorsMetadata] = metadata;
  std::vector<at::Tensor> held;
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    DETENTE_CHECK(name != kSafetensorsMetadata && !header.contains(name),
                  ErrorCode::kInvalidArgument,
                  "[tensor::write_safetensors] the name '{}' is reserved or used twice.",
                  name);
    const auto type = tensor.scalar_type();
    DETENTE_CHECK(type == at::kFloat || type == at::kDouble || type == at::kLong,
                  ErrorCode::kUnsupported,
                  "[tensor::write_safetensors] '{}' is {}; expected float32, float64 or int64.",
                  name,
                  at::toString(type));
    const auto* dtype = std::find_if(std::begin(kSafetensorsTypes),
                                     std::end(kSafetensorsTypes),
                                     [&](const auto& candidate) { return candidate.type == type; });
    held.push_back(tensor.detach().cpu().contiguous());
    const auto bytes =
        static_cast<std::uint64_t>(tensor.numel()) * safetensors_bytes_of(dtype->name);
    header[name] = {{"dtype", dtype->name},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  header[kSafetensorsMetadata][kSafetensorsChecksum] = crc32c_text(0);  // of the final length
  const auto header_text = [&header] {
    std::string text = header.dump();
    text.append((8 - text.size() % 8) % 8, ' ');  // so that the numbers are aligned in memory
    return text;
  };
  const std::uint64_t size = header_text().size();
  std::string content;
  content.reserve(8 + size + offset);
  content.append(reinterpret_cast<const char*>(&size), 8);
  content.append(size, ' ');
  for (const auto& tensor : held) {
    content.append(static_cast<const char*>(tensor.data_ptr()), tensor.nbytes());
  }
  header[kSafetensorsMetadata][kSafetensorsChecksum] =
      safetensors_checksum(header, std::string_view(content).substr(8 + size));
  content.replace(8, size, header_text());
  return content;
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
