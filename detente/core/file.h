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

// The same for what standard input (descriptor 0) still holds; messages call it "standard input".
std::string read_standard_input();

// Writes `content` so that `path` holds either its old content or all of the new one, whatever
// happens: temporary file in the same folder, fsync, rename, fsync of the folder. Mode and owner of
// an earlier file stay (the owner where the system allows it); a new one has what the umask leaves
// of 0666. A symbolic link stays and what it leads to is replaced; a device, a pipe and an open
// descriptor (/dev/stdout) are written to. Throws kIo with the system's reason (no space left,
// read-only, ...), and removes the temporary file.
void write_file_atomic(const std::filesystem::path& path, std::string_view content);

// The same for a file in a folder of the program's own, where a link at `path` is none of the user's:
// whatever stands there (a link, a pipe) gives way to a regular file, and nothing outside the folder
// is touched. A protected regular file and a folder stay and are an error (kIo).
void write_own_file(const std::filesystem::path& path, std::string_view content);

// Whether a file's name (without its folder) is one that write_file_atomic and TemporaryFolder give
// what they have not finished: ".detente-XXXXXX.tmp", six letters or digits. Such a file is left
// behind only by a process that was killed.
bool is_temporary_name(std::string_view name);

// Removes the regular files with temporary names that stand in `folder` itself; links, folders and
// what cannot be removed stay. Nothing happens where there is no such folder.
void remove_temporary_files(const std::filesystem::path& folder);

// A folder with a temporary name in `parent`, for its owner alone; goes at the end with everything
// in it. Throws kIo.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::filesystem::path& parent);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// All of `content` to an open descriptor, going on where a signal interrupts; 0, or the system's
// error.
int write_all(int descriptor, std::string_view content);

// Waits until the names in a folder are on the disk, as far as its file system can.
void flush_folder(const std::filesystem::path& folder);

// Throws kData naming the first thing in `folder`, or up to three folders deep in it, that is neither a file nor a
// folder (a pipe, a device, a socket, or a link to one): what reads the folder's files would wait for it or
// never come to its end.
void demand_plain_files(const std::filesystem::path& folder);

// Creates a folder and its parents; throws kIo with the reason.
void make_directories(const std::filesystem::path& path);

// CRC-32C (Castagnoli), as used by TensorBoard's event files; `crc` continues an earlier value.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t crc = 0);

}  // namespace detente
