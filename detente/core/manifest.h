// SPDX-License-Identifier: Apache-2.0
// A list of files with their sizes and checksums (CRC-32C), kept beside them, so that a flipped bit
// or a file cut short is named instead of believed. It says nothing of intent: whoever can change a
// file can change the list.
//
//   {"format": "detente-manifest-1",
//    "files": {"state.json": {"bytes": 812, "crc32c": "9ae0daaf"}, ...}}
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace detente {

// Eight lower-case hexadecimal digits.
std::string crc32c_text(std::uint32_t crc);

struct FileSum {
  std::uint64_t bytes = 0;
  std::string crc32c;

  bool operator==(const FileSum&) const = default;
};
FileSum sum_of(std::string_view content);

class Manifest {
 public:
  // `name` is relative to the manifest's folder, with forward slashes.
  void add(const std::string& name, const FileSum& sum) { files_.emplace_back(name, sum); }
  // Every regular file below `folder`/`name`, or that file itself; nothing where there is none.
  // Reads them: throws kIo.
  void add_existing(const std::filesystem::path& folder, const std::string& name);

  const std::vector<std::pair<std::string, FileSum>>& files() const { return files_; }

  // Atomic; throws kIo.
  void write(const std::filesystem::path& path) const;
  // Throws kIo, or kData for what is no manifest, names a file twice or one outside its folder.
  static Manifest read(const std::filesystem::path& path);

  // One sentence per file below `folder` that is missing, shorter, longer or changed.
  std::vector<std::string> differences(const std::filesystem::path& folder) const;

 private:
  std::vector<std::pair<std::string, FileSum>> files_;
};

}  // namespace detente
