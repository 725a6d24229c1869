// SPDX-License-Identifier: Apache-2.0
// Whole files in and out, with errors that name the file, and writes that are all or nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace detente {

// Reads a whole file; a gzip file (by its first two bytes) is inflated. Throws kIo (missing,
// a folder, unreadable), kData (a gzip stream that is damaged, is followed by something else or
// unpacks to more than the memory holds) or kUnsupported (a file larger than the memory).
std::string read_file(const std::filesystem::path& path);

// Writes `content` so that `path` holds either its old content or all of the new one, whatever
// happens: temporary file in the same folder, fsync, rename, fsync of the folder. A symbolic link
// stays and what it leads to is replaced; a device or a pipe is written to. Throws kIo with
// the system's reason (no space left, read-only, ...), and removes the temporary file.
void write_file_atomic(const std::filesystem::path& path, std::string_view content);

// Creates a folder and its parents; throws kIo with the reason.
void make_directories(const std::filesystem::path& path);

// CRC-32C (Castagnoli), as used by TensorBoard's event files; `crc` continues an earlier value.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t crc = 0);

}  // namespace detente
