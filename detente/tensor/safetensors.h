// SPDX-License-Identifier: Apache-2.0
// The safetensors format: an 8-byte length, a JSON header, raw little-endian numbers. Python reads
// it with `safetensors.torch.load_file`; nothing in it can be executed. Files written here carry a
// checksum of themselves in their metadata (core/safetensors_layout.h).
#pragma once

#include <detente/tensor/fwd.h>

#include <filesystem>
#include <map>
#include <string>

namespace detente::tensor {

using Metadata = std::map<std::string, std::string>;

// The whole file for float32, float64 and int64 tensors of any device. Throws kInvalidArgument for
// a duplicate name or the reserved "__metadata__", kUnsupported for another dtype.
std::string to_safetensors(const NamedTensors& tensors, const Metadata& metadata = {});
// Writes it atomically; also throws kIo.
void write_safetensors(const std::filesystem::path& path,
                       const NamedTensors& tensors,
                       const Metadata& metadata = {});

// Reads F32, F64, I64, BF16 and F16 tensors onto the CPU, in the order of their data. Throws kIo;
// kData when the file is cut short or foreign, or when a tensor's range overlaps another, leaves a
// hole, exceeds the file or disagrees with its shape, and when the file has a checksum that does
// not fit (unless `check` is false: a file changed on purpose); kUnsupported for another dtype.
NamedTensors read_safetensors(const std::filesystem::path& path,
                              Metadata* metadata = nullptr,
                              bool check = true);
// The same from memory; `name` stands in messages.
NamedTensors from_safetensors(const std::string& content,
                              const std::string& name,
                              Metadata* metadata = nullptr,
                              bool check = true);

}  // namespace detente::tensor
