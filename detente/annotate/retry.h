// SPDX-License-Identifier: Apache-2.0
// When to try again, and when not before.
#pragma once

#include <cstdint>
#include <ctime>
#include <optional>
#include <string_view>

namespace detente::annotate {

struct RetryOptions {
  int tries = 6;             // calls in all, the first included; >= 1
  double first_wait = 1.0;   // seconds; the upper bound of the first wait
  double longest_wait = 60;  // seconds; upper bounds double until here
  double patience = 300;     // seconds; a Retry-After beyond it is not waited for
};

// 408, 425, 429 and 5xx but 501 and 505.
bool may_try_again(int status);

// Seconds before the next try, `tried` >= 1 have been: full jitter (M. Brooker, "Exponential Backoff and Jitter",
// 2015), u * min(longest_wait, first_wait * 2^(tried-1)) with u in [0, 1), but never less than what the server asked for.
double wait_before(const RetryOptions& options,
                   int tried,
                   double u,
                   std::optional<double> retry_after);

// The seconds of a Retry-After header: a number of seconds (fractions are taken, too) or a date of RFC 9110
// ("Sun, 06 Nov 1994 08:49:37 GMT") seen from `now`; never below 0. Nothing for anything else.
std::optional<double> parse_retry_after(std::string_view value, std::time_t now);

}  // namespace detente::annotate
