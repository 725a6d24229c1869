// SPDX-License-Identifier: Apache-2.0
// What a person at a terminal sees while a study goes on: a line per method, redrawn in its place.
#pragma once

#include <detente/core/terminal.h>
#include <detente/study/sweep.h>

#include <iosfwd>
#include <span>
#include <string>
#include <vector>

namespace detente::study {

// A line per method, and one for all baselines: runs that have finished, that failed and that go on, and
// the tasks' first metrics on validation, means of the best setting so far. As many tasks as `size` has
// room for; the last line is the progress. No line is wider than the terminal.
std::vector<std::string> live_lines(std::span<const Variant> variants,
                                    std::span<const StudyTask> tasks,
                                    std::span<const RunResult> results,
                                    const SweepProgress& progress,
                                    const TerminalSize& size);

class LiveTable {
 public:
  explicit LiveTable(std::ostream& out) : out_(out) {}

  // Lines in the place of those before.
  void draw(const std::vector<std::string>& lines);
  // A line above the table that stays.
  void say(const std::string& line);
  // Takes the table away.
  void clear();

 private:
  std::ostream& out_;
  std::vector<std::string> drawn_;
};

}  // namespace detente::study
