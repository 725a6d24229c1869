// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/json.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <new>
#include <optional>
#include <system_error>

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
  EXPECT_EQ(exit_code(ErrorCode::kPeerLost), 75);
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

template <class Thrown>
std::optional<Error> known(const Thrown& thrown) {
  return known_error(thrown, "[here]");
}

TEST(KnownError, TellsTheMachinesReasonsFromOurFaults) {
  EXPECT_EQ(known(std::bad_alloc())->code(), ErrorCode::kUnsupported);
  EXPECT_EQ(known(std::length_error("vector"))->code(), ErrorCode::kUnsupported);
  const std::filesystem::filesystem_error file(
      "status", "a/b", std::make_error_code(std::errc::permission_denied));
  EXPECT_EQ(known(file)->code(), ErrorCode::kIo);
  EXPECT_STREQ(known(file)->what(), "[here] the system refuses 'a/b': Permission denied.");
  EXPECT_EQ(
      known(std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again)))
          ->code(),
      ErrorCode::kUnsupported);
  try {
    (void)Json("\xe9").dump();
    FAIL() << "no error";
  } catch (const std::exception& error) {
    EXPECT_EQ(known_error(error, "[here]")->code(), ErrorCode::kData);
  }
  EXPECT_FALSE(known(std::logic_error("ours")).has_value());
  EXPECT_FALSE(known(std::out_of_range("ours")).has_value());
}

}  // namespace
}  // namespace detente
