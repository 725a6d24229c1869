// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/progress_line.h>
#include <detente/core/stopwatch.h>
#include <detente/core/terminal.h>
#include <detente/report/html_page.h>
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <limits>
#include <memory>
#include <ostream>

namespace detente::cli {

bool is_on_terminal(const Context& context) {
  return &context.err == &std::cerr && error_is_terminal();
}

namespace {

// Says how far work is, now and then: the words for that are made only when they are shown.
class Line {
 public:
  explicit Line(Context& context) : context_(context), terminal_(is_on_terminal(context)) {}

  template <class Words>
  void show(double share, const Words& words) {
    const bool done = share >= 1;
    if (!done && last_.seconds() <= (terminal_ ? 0.2 : 10.0)) return;
    last_ = Stopwatch();
    const double left =
        share > 0 ? whole_.seconds() * (1 / share - 1) : std::numeric_limits<double>::quiet_NaN();
    if (terminal_) {
      context_.err << fmt::format("\r{}, {} left \033[K", words(), report::duration_text(left));
      if (done) context_.err << "\r\033[K";
    } else if (!done) {
      context_.err << fmt::format("{}, {} left\n", words(), report::duration_text(left));
    }
    context_.err.flush();
  }

 private:
  Context& context_;
  bool terminal_;
  Stopwatch last_;
  Stopwatch whole_;
};

}  // namespace

std::function<void(std::size_t, std::size_t)> progress_line(Context& context) {
  return [line = std::make_shared<Line>(context)](std::size_t done, std::size_t total) {
    const double share =
        static_cast<double>(done) / static_cast<double>(std::max<std::size_t>(total, 1));
    line->show(done == total ? 1.0 : share, [&] { return fmt::format("{} of {}", done, total); });
  };
}

std::function<void(double)> share_line(Context& context) {
  return [line = std::make_shared<Line>(context)](double share) {
    line->show(share, [&] { return report::percent_text(share); });
  };
}

std::function<bool(std::size_t, std::size_t)> progress_line(const InterruptGuard& interrupt,
                                                            Context& context) {
  return [&interrupt, line = progress_line(context)](std::size_t done, std::size_t total) {
    line(done, total);
    return !interrupt.interrupted();
  };
}

}  // namespace detente::cli
