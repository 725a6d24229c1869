// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/retry.h>
#include <detente/core/ascii.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>

namespace detente::annotate {

bool may_try_again(int status) {
  return status == 408 || status == 425 || status == 429 ||
         (status >= 500 && status < 600 && status != 501 && status != 505);
}

double wait_before(const RetryOptions& options,
                   int tried,
                   double u,
                   std::optional<double> retry_after) {
  const double bound =
      std::min(options.longest_wait, options.first_wait * std::exp2(std::min(tried - 1, 60)));
  return std::max(u * bound, retry_after.value_or(0));
}

std::optional<double> parse_retry_after(std::string_view value, std::time_t now) {
  value = trim(value, " \t");
  double seconds = 0;
  const char* const end = value.data() + value.size();
  const auto [rest, error] = std::from_chars(value.data(), end, seconds);
  if (!value.empty() && error == std::errc() && rest == end && std::isfinite(seconds)) {
    return std::max(seconds, 0.0);
  }
  // By hand: strptime reads names in the language of the locale.
  std::array<char, 4> month{};
  int day = 0;
  int year = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  const std::string text(value);
  if (std::sscanf(text.c_str(),
                  "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT",
                  &day,
                  month.data(),
                  &year,
                  &hour,
                  &minute,
                  &second) != 6) {
    return std::nullopt;
  }
  constexpr std::string_view kMonths = "janfebmaraprmayjunjulaugsepoctnovdec";
  const std::size_t at = kMonths.find(lower_ascii(month.data()));
  using namespace std::chrono;
  const year_month_day date{std::chrono::year(year),
                            std::chrono::month(static_cast<unsigned>(at / 3 + 1)),
                            std::chrono::day(static_cast<unsigned>(day))};
  if (at == std::string_view::npos || at % 3 != 0 || !date.ok() || !text.ends_with("GMT")) {
    return std::nullopt;
  }
  const auto moment = sys_days(date) + hours(hour) + minutes(minute) + std::chrono::seconds(second);
  const double until =
      static_cast<double>(duration_cast<std::chrono::seconds>(moment.time_since_epoch()).count());
  return std::max(until - static_cast<double>(now), 0.0);
}

}  // namespace detente::annotate
