// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/tensor/safetensors.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <set>

namespace detente::tensor {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

// The limit of the reference implementation; a longer header is an attack or another format.
constexpr std::uint64_t kSafetensorsMaxHeader = 100'000'000;
constexpr const char* kSafetensorsMetadata = "__metadata__";

struct SafetensorsDType {
  const char* name;
  at::ScalarType type;
  std::uint64_t bytes;
};

constexpr SafetensorsDType kSafetensorsDTypes[] = {
    {"F32", at::kFloat, 4},
    {"F64", at::kDouble, 8},
    {"I64", at::kLong, 8},
    {"BF16", at::kBFloat16, 2},
    {"F16", at::kHalf, 2},
};

struct SafetensorsEntry {
  std::string name;
  SafetensorsDType dtype;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

[[noreturn]] void safetensors_bad(const std::string& file, const std::string& what) {
  fail(ErrorCode::kData,
       "[tensor::read_safetensors] '{}' {} It is damaged or no safetensors file.",
       file,
       what);
}

// JSON numbers that must be sizes.
std::uint64_t safetensors_size(const Json& value,
                               const std::string& file,
                               const std::string& name) {
  if (!value.is_number_unsigned()) {
    safetensors_bad(file, fmt::format("gives '{}' a size that is no whole number >= 0.", name));
  }
  return value.get<std::uint64_t>();
}

SafetensorsEntry safetensors_entry(const std::string& name,
                                   const Json& value,
                                   const std::string& file) {
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") ||
      !value.contains("shape") || !value.contains("data_offsets") || !value["dtype"].is_string() ||
      !value["shape"].is_array() || !value["data_offsets"].is_array() ||
      value["data_offsets"].size() != 2) {
    safetensors_bad(file,
                    fmt::format("describes '{}' by something else than dtype, shape and "
                                "data_offsets.",
                                name));
  }
  SafetensorsEntry entry;
  entry.name = name;
  const auto dtype = value["dtype"].get<std::string>();
  const auto* known =
      std::find_if(std::begin(kSafetensorsDTypes),
                   std::end(kSafetensorsDTypes),
                   [&](const SafetensorsDType& candidate) { return candidate.name == dtype; });
  DETENTE_CHECK(known != std::end(kSafetensorsDTypes),
                ErrorCode::kUnsupported,
                "[tensor::read_safetensors] '{}': tensor '{}' has dtype '{}'; expected one of F32, "
                "F64, I64, BF16, F16.",
                file,
                name,
                dtype);
  entry.dtype = *known;
  std::uint64_t bytes = entry.dtype.bytes;  // of what is not empty, for the check
  bool empty = false;
  for (const Json& size : value["shape"]) {
    const std::uint64_t n = safetensors_size(size, file, name);
    constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max();
    if (n > kMax || (n != 0 && bytes > kMax / n)) {
      safetensors_bad(file, fmt::format("gives '{}' an impossible shape.", name));
    }
    empty = empty || n == 0;
    bytes *= n == 0 ? 1 : n;
    entry.shape.push_back(static_cast<std::int64_t>(n));
  }
  if (empty) bytes = 0;
  entry.begin = safetensors_size(value["data_offsets"][0], file, name);
  entry.end = safetensors_size(value["data_offsets"][1], file, name);
  if (entry.end < entry.begin || entry.end - entry.begin != bytes) {
    safetensors_bad(file,
                    fmt::format("gives '{}' the range [{}, {}), but its shape needs {} bytes.",
                                name,
                                entry.begin,
                                entry.end,
                                bytes));
  }
  return entry;
}

// Keys must be unique: which of two equal ones counts would depend on the reader.
Json safetensors_parse(std::string_view text, const std::string& file) {
  std::vector<std::set<std::string>> open;
  bool repeated = false;
  const Json::parser_callback_t watch = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key) {
      repeated = !open.back().insert(parsed.get<std::string>()).second || repeated;
    }
    return true;
  };
  Json header;
  try {
    header = Json::parse(text, watch);
  } catch (const Json::exception&) {
    safetensors_bad(file, "has a header that is not JSON.");
  }
  if (!header.is_object()) safetensors_bad(file, "has a header that is no JSON object.");
  if (repeated) safetensors_bad(file, "names something twice.");
  return header;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path,
                       const NamedTensors& tensors,
                       const Metadata& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header[kSafetensorsMetadata] = metadata;
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
    const auto* dtype = std::find_if(std::begin(kSafetensorsDTypes),
                                     std::end(kSafetensorsDTypes),
                                     [&](const auto& candidate) { return candidate.type == type; });
    held.push_back(tensor.detach().cpu().contiguous());
    const auto bytes = static_cast<std::uint64_t>(tensor.numel()) * dtype->bytes;
    header[name] = {{"dtype", dtype->name},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // so that the numbers are aligned in memory
  std::string content;
  content.reserve(8 + text.size() + offset);
  const std::uint64_t size = text.size();
  content.append(reinterpret_cast<const char*>(&size), 8);
  content += text;
  for (const auto& tensor : held) {
    content.append(static_cast<const char*>(tensor.data_ptr()), tensor.nbytes());
  }
  write_file_atomic(path, content);
}

NamedTensors read_safetensors(const std::filesystem::path& path, Metadata* metadata) {
  const std::string content = read_file(path);
  const std::string file = path.string();
  if (content.size() < 8) {
    safetensors_bad(file, fmt::format("has {} bytes; expected at least 8.", content.size()));
  }
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, content.data(), 8);
  if (header_size > kSafetensorsMaxHeader || header_size > content.size() - 8) {
    safetensors_bad(
        file,
        fmt::format(
            "announces a header of {} bytes and has {} in all.", header_size, content.size()));
  }
  const Json header = safetensors_parse(std::string_view(content).substr(8, header_size), file);

  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name != kSafetensorsMetadata) {
      entries.push_back(safetensors_entry(name, value, file));
      continue;
    }
    if (!value.is_object()) safetensors_bad(file, "has metadata that is no JSON object.");
    for (const auto& [key, word] : value.items()) {
      if (!word.is_string()) safetensors_bad(file, "has metadata that is not text.");
      if (metadata != nullptr) (*metadata)[key] = word.get<std::string>();
    }
  }
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  std::uint64_t expected = 0;
  for (const auto& entry : entries) {
    if (entry.begin != expected) {
      safetensors_bad(file,
                      fmt::format("has '{}' at byte {} where {} is expected (an overlap or a "
                                  "hole).",
                                  entry.name,
                                  entry.begin,
                                  expected));
    }
    expected = entry.end;
  }
  const std::uint64_t available = content.size() - 8 - header_size;
  if (expected != available) {
    safetensors_bad(
        file,
        fmt::format("has {} bytes of numbers where its header needs {}.", available, expected));
  }
  NamedTensors tensors;
  const char* data = content.data() + 8 + header_size;
  for (const auto& entry : entries) {
    at::Tensor tensor = at::empty(entry.shape, at::TensorOptions().dtype(entry.dtype.type));
    std::memcpy(tensor.data_ptr(), data + entry.begin, entry.end - entry.begin);
    tensors.emplace_back(entry.name, tensor);
  }
  return tensors;
}

}  // namespace detente::tensor
