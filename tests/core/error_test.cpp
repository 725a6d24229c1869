// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <gtest/gtest.h>

namespace detente {
namespace {

TEST(Error, MapsEachCodeToTheDocumentedExitCode) {
  EXPECT_EQ(exit_code(ErrorCode::kInternal), 1);
  EXPECT_EQ(exit_code(ErrorCode::kInvalidArgument), 2);
  EXPECT_EQ(exit_code(ErrorCode::kUnsupported), 2);
  EXPECT_EQ(exit_code(ErrorCode::kShape), 3);
  EXPECT_EQ(exit_code(ErrorCode::kData), 3);
  EXPECT_EQ(exit_code(ErrorCode::kIo), 3);
  EXPECT_EQ(exit_code(ErrorCode::kNumeric), 4);
}

TEST(Error, CarriesCodeAndMessage) {
  try {
    DETENTE_CHECK(1 > 2, ErrorCode::kShape, "[test] expected {}, got {}.", 2, 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kShape);
    EXPECT_STREQ(error.what(), "[test] expected 2, got 1.");
  }
}

TEST(Error, CallsOurOwnFaultsInternal) {
  try {
    DETENTE_DCHECK(1 > 2);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInternal);
    EXPECT_NE(std::string(error.what()).find("1 > 2"), std::string::npos);
  }
}

}  // namespace
}  // namespace detente
