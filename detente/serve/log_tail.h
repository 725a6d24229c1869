// SPDX-License-Identifier: Apache-2.0
// Follows a log that others append whole lines to: each byte is read once, however often one asks. A log
// that was cut or replaced (a run that goes on from its snapshot) is noticed and read anew.
#pragma once

#include <detente/serve/folder.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace detente::serve {

class LogTail {
 public:
  using Clock = std::chrono::steady_clock;

  struct Hooks {
    std::function<void()> anew;                       // what was told so far holds no longer
    std::function<void(std::string_view line)> line;  // whole, without its line end
  };

  // Reads what is new in `file`, until `deadline` at the latest (what is left comes next time). True
  // where a hook was called. A last line that is not whole waits for its end; one of more than 16 MiB is
  // passed over. Cost: that of the new bytes.
  bool read(const OpenFile& file, const Hooks& hooks, Clock::time_point deadline);

  // Whether everything had been read.
  bool at_end() const { return at_end_; }

 private:
  void start_anew(const OpenFile& file);
  bool take(std::string_view bytes, const Hooks& hooks);

  std::uint64_t inode_ = 0;
  std::uint64_t offset_ = 0;
  std::string seen_;      // the last bytes before the offset
  std::string partial_;   // of the last line
  bool passing_ = false;  // over a line that is too long
  bool at_end_ = false;
};

}  // namespace detente::serve
