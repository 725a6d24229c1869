// SPDX-License-Identifier: Apache-2.0
// One process at a time trains into a run's folder. The lock is a file of the folder, made before
// anything else there, so that a folder is known as a run's from its first file on; the system
// frees it when the process ends, however it ends.
#pragma once

#include <detente/report/run_data.h>

#include <filesystem>
#include <string>

namespace detente::train {

// The file's name within the folder. It stays there.
using report::kRunMark;

class RunLock {
 public:
  RunLock() = default;
  ~RunLock() { release(); }
  RunLock(RunLock&& other) noexcept;
  RunLock& operator=(RunLock&& other) noexcept;
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  // Marks the folder, which must exist, as a run's and locks it. Throws kInvalidArgument naming the
  // process that has it, kIo when the mark cannot be made. Where the file system knows no locks
  // (some network ones), `warning()` says so and the run goes on without.
  static RunLock take(const std::filesystem::path& root);

  bool held() const { return fd_ >= 0; }
  const std::string& warning() const { return warning_; }
  void release();

 private:
  int fd_ = -1;
  std::string warning_;
};

}  // namespace detente::train
