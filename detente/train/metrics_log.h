// SPDX-License-Identifier: Apache-2.0
// metrics.jsonl, the log that survives a crash: whole lines, each handed to the system before the
// next step.
#pragma once

#include <detente/core/json.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace detente::train {

class MetricsLog {
 public:
  // Which lines of an earlier process stay: the first `bytes`, or, where that is not known (-1) or
  // they are not whole lines of steps up to `last_step` (-1: none), all such lines. The others are
  // written again. Throws kIo.
  MetricsLog(const std::filesystem::path& path, std::int64_t last_step, std::int64_t bytes);
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;
  MetricsLog& operator=(const MetricsLog&) = delete;

  // Throws kIo where it fails (full disk).
  void write(const Json& line);
  std::int64_t bytes() const { return bytes_; }
  // Waits until all of it is on the disk; from any thread.
  void sync();

  // Lines of the earlier log (from 1) that were damaged or cut short and are not in this one.
  const std::vector<std::size_t>& left_out() const { return left_out_; }
  // Whether the earlier log lacks some of its first `bytes` or is no longer what was counted.
  bool changed() const { return changed_; }

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  std::int64_t bytes_ = 0;
  std::vector<std::size_t> left_out_;
  bool changed_ = false;
};

}  // namespace detente::train
