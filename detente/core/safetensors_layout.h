// SPDX-License-Identifier: Apache-2.0
// What a safetensors file says of itself: an 8-byte length, a JSON header with names, types, shapes
// and places, then the numbers. Everything is checked before anything is believed, because such
// files come from strangers; turning places into tensors is tensor/safetensors.h. And the writing of
// such files, of numbers that lie in memory.
#pragma once

#include <detente/core/json.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace detente {

// In the metadata of files written by Detente: the CRC-32C of all else, header and numbers. Other
// programs pass it by.
inline constexpr const char* kSafetensorsChecksum = "crc32c";
inline constexpr const char* kSafetensorsMetadata = "__metadata__";

struct SafetensorsEntry {
  std::string name;
  std::string dtype;      // F32, F64, I64, BF16 or F16
  std::size_t bytes = 0;  // of one number
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;  // from `numbers` on
  std::uint64_t end = 0;
};

struct SafetensorsLayout {
  std::vector<SafetensorsEntry> entries;        // in the order of their places
  std::map<std::string, std::string> metadata;  // without the checksum
  std::size_t numbers = 0;                      // where they begin in the file
};

// Bytes of one number of a type; 0 for a type that is not read.
std::size_t safetensors_bytes_of(std::string_view dtype);

// `content` is the file's, `file` its name for messages. Throws kData when it is cut short or
// foreign, when a range overlaps another, leaves a hole, exceeds the file or disagrees with its
// shape, and when there is a checksum that does not fit (unless `check` is false); kUnsupported for
// another dtype.
SafetensorsLayout read_safetensors_layout(std::string_view content,
                                          const std::string& file,
                                          bool check = true);

// Of the header, whose own checksum does not count, and the numbers.
std::string safetensors_checksum(Json header, std::string_view numbers);

struct SafetensorsPart {
  std::string name;
  std::string dtype;  // F32, F64 or I64
  std::vector<std::int64_t> shape;
  std::string_view bytes;  // of the shape's size, little-endian
};

// A whole file, with its checksum. Throws kInvalidArgument for a name that is reserved or used twice.
std::string safetensors_content(const std::vector<SafetensorsPart>& parts,
                                const std::map<std::string, std::string>& metadata);

}  // namespace detente
