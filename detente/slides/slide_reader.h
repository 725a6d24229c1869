// SPDX-License-Identifier: Apache-2.0
// The face of whoever reads slides: worker processes (slide_workers.h), or a test's own.
#pragma once

#include <detente/slides/slide.h>

#include <cstdint>
#include <map>
#include <string>

namespace detente::slides {

struct ReaderStatistics {
  std::int64_t pictures = 0;  // read so far
  std::int64_t opened = 0;    // handles opened
  std::int64_t reused = 0;    // pictures from a handle that was open
  std::int64_t restarts = 0;  // workers started again after an end or a hang
  double waited_seconds = 0;  // in take() for pictures that were not ready
};

class SlideReader {
 public:
  using Ticket = std::uint64_t;

  virtual ~SlideReader() = default;

  // Throws kIo where the file cannot be read at all, kData for what is no slide or a damaged one; both name
  // the file.
  virtual SlideInfo info(const std::string& file) = 0;
  // Has the region read; returns at once. Throws kInvalidArgument for a region whose sizes are out of range.
  virtual Ticket ask(const std::string& file, const Region& region) = 0;
  // Waits for it. Each ticket is taken or dropped once. Throws kData, naming file and reason, where it cannot
  // be read: the slide is bad from then on, and what is asked of it fails at once.
  virtual Picture take(Ticket ticket) = 0;
  virtual void drop(Ticket ticket) = 0;

  // The slides given up, and why.
  virtual std::map<std::string, std::string> bad() const = 0;
  virtual ReaderStatistics statistics() const = 0;

  Picture read(const std::string& file, const Region& region) { return take(ask(file, region)); }
};

}  // namespace detente::slides
