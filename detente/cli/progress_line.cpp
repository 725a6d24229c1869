// SPDX-License-Identifier: Apache-2.0
#include <detente/cli/progress_line.h>
#include <detente/core/stopwatch.h>
#include <detente/core/terminal.h>
#include <detente/report/html_page.h>
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <ostream>

namespace detente::cli {

bool is_on_terminal(const Context& context) {
  return &context.err == &std::cerr && error_is_terminal();
}

std::function<void(std::size_t, std::size_t)> progress_line(Context& context) {
  auto last = std::make_shared<Stopwatch>();
  auto whole = std::make_shared<Stopwatch>();
  const bool terminal = is_on_terminal(context);
  return [&context, last, whole, terminal](std::size_t done, std::size_t total) {
    if (done == total || last->seconds() > (terminal ? 0.2 : 10.0)) {
      *last = Stopwatch();
      const double left = whole->seconds() / static_cast<double>(std::max<std::size_t>(done, 1)) *
                          static_cast<double>(total - done);
      if (terminal) {
        context.err << fmt::format(
            "\r{} of {}, {} left \033[K", done, total, report::duration_text(left));
        if (done == total) context.err << "\r\033[K";
      } else if (done < total) {
        context.err << fmt::format("{} of {}, {} left\n", done, total, report::duration_text(left));
      }
      context.err.flush();
    }
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
