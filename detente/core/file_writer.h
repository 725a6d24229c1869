// SPDX-License-Identifier: Apache-2.0
// A file written a piece at a time that appears whole or not at all. write_file_atomic (core/file.h) is one of
// its users and says what becomes of modes, owners, links, devices and pipes.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

namespace detente {

class FileWriter {
 public:
  // Creates a temporary file beside `path`, or opens the device or pipe there, to which everything goes at once.
  // Throws kIo with the system's reason.
  explicit FileWriter(const std::filesystem::path& path);
  // The same as write_own_file: in a folder of the program's own.
  static FileWriter own_file(const std::filesystem::path& path);

  // Without finish() the temporary file goes and an earlier file stays what it was.
  ~FileWriter();
  FileWriter(FileWriter&&) noexcept;
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  // Throws kIo (no space left, ...); the temporary file is gone then.
  void write(std::string_view content);
  // Gives the file its name, when all is on the disk.
  void finish();

 private:
  struct State;
  explicit FileWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace detente
