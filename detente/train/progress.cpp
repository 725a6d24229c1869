// SPDX-License-Identifier: Apache-2.0
#include <detente/core/terminal.h>
#include <detente/report/html_page.h>
#include <detente/text/printable.h>
#include <detente/train/progress.h>
#include <fmt/format.h>

#include <algorithm>
#include <ostream>

namespace detente::train {
namespace {

std::string progress_bar(double share, std::size_t width) {
  const auto full =
      static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(width));
  return "[" + std::string(full, '#') + std::string(width - full, '.') + "]";
}

}  // namespace

std::string Progress::text(const State& state) const {
  const double rate =
      state.seconds > 0 ? static_cast<double>(state.done - state.start) / state.seconds : 0.0;
  const std::string left =
      rate > 0
          ? report::duration_text(static_cast<double>(state.total - state.done) / rate) + " left"
          : "";
  std::string losses;
  std::size_t shown = 0;
  for (const auto& [name, value] : state.losses) {
    if (++shown > 4) {
      losses += " ...";
      break;
    }
    losses += " " + text::printable(name) + " " + report::value_text(value, 3);
  }
  return fmt::format("epoch {}/{} step {}/{} {:.0f} ex/s {}{}",
                     state.epoch,
                     state.epochs,
                     state.step,
                     state.steps,
                     state.examples_per_second,
                     left,
                     losses.empty() ? "" : " | loss" + losses);
}

void Progress::update(const State& state) {
  if (style_ == Style::kNone) return;
  const auto now = std::chrono::steady_clock::now();
  const double elapsed = std::chrono::duration<double>(now - last_).count();
  if (elapsed < (style_ == Style::kBar ? 0.1 : 10.0)) return;
  last_ = now;
  std::string line = text(state);
  if (style_ == Style::kLines) {
    out_ << line << "\n" << std::flush;
    return;
  }
  const double share =
      state.total > 0 ? static_cast<double>(state.done) / static_cast<double>(state.total) : 0.0;
  line = progress_bar(share, 16) + " " + line;
  const std::size_t width = terminal_size().columns - 1;
  if (line.size() > width) {
    std::size_t end = width;
    while (end > 0 && (static_cast<unsigned char>(line[end]) & 0xC0U) == 0x80U) --end;
    line.resize(end);  // between two characters
  }
  const std::size_t drawn = line.size();
  if (line.size() < drawn_) line.append(drawn_ - line.size(), ' ');
  drawn_ = drawn;
  out_ << '\r' << line << std::flush;
}

void Progress::line(const std::string& text) {
  // Quiet is no progress; what may be wrong is said.
  if (style_ == Style::kNone && !text.starts_with("warning: ")) return;
  finish();
  out_ << text::printable_lines(text) << "\n" << std::flush;
}

void Progress::finish() {
  if (style_ == Style::kBar && drawn_ > 0) {
    out_ << '\r' << std::string(drawn_, ' ') << '\r' << std::flush;
    drawn_ = 0;
  }
}

}  // namespace detente::train
