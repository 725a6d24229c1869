// SPDX-License-Identifier: Apache-2.0
// What a person sees while a run goes on: one bar that redraws itself on a terminal, a plain line
// now and then elsewhere (log files), warnings alone with --quiet.
#pragma once

#include <chrono>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

namespace detente::train {

class Progress {
 public:
  enum class Style { kNone, kLines, kBar };

  Progress(std::ostream& out, Style style) : out_(out), style_(style) {}

  struct State {
    std::int64_t epoch = 0;  // from 1
    std::int64_t epochs = 0;
    std::int64_t step = 0;  // in this epoch, from 1
    std::int64_t steps = 0;
    std::int64_t done = 0;  // steps in the whole run
    std::int64_t total = 0;
    std::int64_t start = 0;  // steps that were done before this process started (resume)
    double seconds = 0;      // this process
    double examples_per_second = 0;
    std::vector<std::pair<std::string, double>> losses;  // smoothed, per task
  };

  // Draws when enough time has passed since the last drawing (0.1 s bar, 10 s lines).
  void update(const State& state);
  // A whole line that stays (an epoch's result, a warning).
  void line(const std::string& text);
  // Removes the bar.
  void finish();

 private:
  std::string text(const State& state) const;

  std::ostream& out_;
  Style style_;
  std::chrono::steady_clock::time_point last_{};
  std::size_t drawn_ = 0;
};

}  // namespace detente::train
