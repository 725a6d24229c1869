// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/manifest.h>
#include <detente/core/safetensors_layout.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <set>
#include <utility>

namespace detente {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

// The limit of the reference implementation; a longer header is an attack or another format.
constexpr std::uint64_t kSafetensorsMaxHeader = 100'000'000;

[[noreturn]] void safetensors_bad(const std::string& file, const std::string& what) {
  fail(ErrorCode::kData,
       "[core::read_safetensors] '{}' {} It is damaged or no safetensors file.",
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
  entry.dtype = value["dtype"].get<std::string>();
  entry.bytes = safetensors_bytes_of(entry.dtype);
  DETENTE_CHECK(entry.bytes > 0,
                ErrorCode::kUnsupported,
                "[core::read_safetensors] '{}': tensor '{}' has dtype '{}'; expected one of F32, "
                "F64, I64, BF16, F16.",
                file,
                name,
                entry.dtype);
  std::uint64_t volume = entry.bytes;  // in bytes, were no size 0
  bool empty = false;
  for (const Json& size : value["shape"]) {
    const std::uint64_t n = safetensors_size(size, file, name);
    constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max();
    // Of no numbers, but of sizes whose product is too large for any tensor, is impossible too.
    if (n > kMax || (n != 0 && volume > kMax / n)) {
      safetensors_bad(file, fmt::format("gives '{}' an impossible shape.", name));
    }
    volume *= n != 0 ? n : 1;
    empty = empty || n == 0;
    entry.shape.push_back(static_cast<std::int64_t>(n));
  }
  const std::uint64_t bytes = empty ? 0 : volume;
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

std::size_t safetensors_bytes_of(std::string_view dtype) {
  static constexpr std::pair<std::string_view, std::size_t> kTypes[] = {
      {"F32", 4}, {"F64", 8}, {"I64", 8}, {"BF16", 2}, {"F16", 2}};
  for (const auto& [name, bytes] : kTypes) {
    if (name == dtype) return bytes;
  }
  return 0;
}

std::string safetensors_checksum(Json header, std::string_view numbers) {
  if (header.contains(kSafetensorsMetadata)) {
    header[kSafetensorsMetadata].erase(kSafetensorsChecksum);
  }
  return crc32c_text(crc32c(numbers, crc32c(header.dump())));
}

SafetensorsLayout read_safetensors_layout(std::string_view content,
                                          const std::string& file,
                                          bool check) {
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
  const Json header = safetensors_parse(content.substr(8, header_size), file);

  SafetensorsLayout layout;
  auto& entries = layout.entries;
  for (const auto& [name, value] : header.items()) {
    if (name != kSafetensorsMetadata) {
      entries.push_back(safetensors_entry(name, value, file));
      continue;
    }
    if (!value.is_object()) safetensors_bad(file, "has metadata that is no JSON object.");
    for (const auto& [key, word] : value.items()) {
      if (!word.is_string()) safetensors_bad(file, "has metadata that is not text.");
      if (key != kSafetensorsChecksum) layout.metadata[key] = word.get<std::string>();
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
  layout.numbers = 8 + header_size;
  if (check && header.contains(kSafetensorsMetadata) &&
      header[kSafetensorsMetadata].contains(kSafetensorsChecksum)) {
    const std::string found = safetensors_checksum(header, content.substr(layout.numbers));
    const auto expected_sum = header[kSafetensorsMetadata][kSafetensorsChecksum].get<std::string>();
    DETENTE_CHECK(found == expected_sum,
                  ErrorCode::kData,
                  "[core::read_safetensors] '{}' has changed since it was written (checksum {}, "
                  "now {}). Bring back a whole copy; --accept-changed reads it as it is.",
                  file,
                  expected_sum,
                  found);
  }
  return layout;
}

std::string safetensors_content(const std::vector<SafetensorsPart>& parts,
                                const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  header[kSafetensorsMetadata] = metadata;
  std::uint64_t offset = 0;
  for (const SafetensorsPart& part : parts) {
    DETENTE_CHECK(part.name != kSafetensorsMetadata && !header.contains(part.name),
                  ErrorCode::kInvalidArgument,
                  "[core::safetensors_content] the name '{}' is reserved or used twice.",
                  part.name);
    header[part.name] = {{"dtype", part.dtype},
                         {"shape", part.shape},
                         {"data_offsets", {offset, offset + part.bytes.size()}}};
    offset += part.bytes.size();
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
  for (const SafetensorsPart& part : parts) content.append(part.bytes);
  header[kSafetensorsMetadata][kSafetensorsChecksum] =
      safetensors_checksum(header, std::string_view(content).substr(8 + size));
  content.replace(8, size, header_text());
  return content;
}

}  // namespace detente
