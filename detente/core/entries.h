// SPDX-License-Identifier: Apache-2.0
// What stands in a folder, of the entries themselves: a link is neither a file nor a folder here,
// whatever it leads to, so that nothing outside is taken for one's own and removed.
#pragma once

#include <filesystem>
#include <vector>

namespace detente {

inline bool is_own_file(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(std::filesystem::symlink_status(path, error));
}

inline bool is_own_folder(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_directory(std::filesystem::symlink_status(path, error));
}

// Paths of all entries; none where there is no such folder or it cannot be read.
inline std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> entries;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    entries.push_back(at->path());
  }
  return entries;
}

}  // namespace detente
