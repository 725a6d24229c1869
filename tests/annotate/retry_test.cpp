// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/retry.h>
#include <gtest/gtest.h>

namespace detente::annotate {
namespace {

TEST(Retry, WaitsWithFullJitterWithinDoublingBounds) {
  const RetryOptions options{.tries = 99, .first_wait = 1, .longest_wait = 60};
  double bound = 1;
  for (int tried = 1; tried < 99; ++tried) {
    EXPECT_EQ(wait_before(options, tried, 0.0, std::nullopt), 0);
    EXPECT_DOUBLE_EQ(wait_before(options, tried, 0.5, std::nullopt), 0.5 * bound);
    EXPECT_EQ(wait_before(options, tried, 0.999, 1e4), 1e4);
    EXPECT_GE(wait_before(options, tried, 0.999, 0.001), 0.9);
    bound = bound < 60 ? std::min(60.0, 2 * bound) : 60;
  }
}

TEST(Retry, TriesAgainWhatMayPass) {
  for (const int status : {408, 425, 429, 500, 502, 503, 504, 529})
    EXPECT_TRUE(may_try_again(status));
  for (const int status : {200, 301, 400, 401, 403, 404, 413, 422, 501, 505}) {
    EXPECT_FALSE(may_try_again(status)) << status;
  }
}

TEST(RetryAfter, ReadsSecondsAndDates) {
  constexpr std::time_t kThen = 784111777;  // the example of RFC 9110
  EXPECT_EQ(parse_retry_after("120", 0), 120);
  EXPECT_EQ(parse_retry_after(" 0.5 ", 0), 0.5);
  EXPECT_EQ(parse_retry_after("-3", 0), 0);
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", kThen - 90), 90);
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", kThen + 90), 0);
  EXPECT_EQ(parse_retry_after("Thu, 29 Feb 2024 00:00:00 GMT", 1709164800 - 1), 1);
  for (const char* wrong : {"",
                            " ",
                            "soon",
                            "12 s",
                            "nan",
                            "inf",
                            "Sun, 06 Nov 1994 08:49:37",
                            "Sun, 31 Feb 2024 00:00:00 GMT",
                            "Sun, 06 Nvo 1994 08:49:37 GMT",
                            "Sun, 06 ovd 1994 08:49:37 GMT"}) {
    EXPECT_FALSE(parse_retry_after(wrong, 0).has_value()) << wrong;
  }
}

}  // namespace
}  // namespace detente::annotate
