// SPDX-License-Identifier: Apache-2.0
// What a worker says, line by line, so that each can be marked with its rank.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace detente::launch {

// Collects bytes as they come and gives whole lines, each with the mark before it.
class MarkedLines {
 public:
  // A line beyond this is given in pieces, so that a worker that never ends one does not fill the memory.
  static constexpr std::size_t kLongest = std::size_t{1} << 16;

  explicit MarkedLines(std::string mark) : mark_(std::move(mark)) {}

  // The lines that these bytes complete, each ended; empty where there is none yet.
  std::string add(std::string_view bytes);
  // What is left without its end, as a line.
  std::string rest();

 private:
  std::string mark_;
  std::string line_;
};

}  // namespace detente::launch
