// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <detente/core/error.h>
#include <gmock/gmock.h>

#include <functional>
#include <string>

namespace detente::test {

// The code of the error that `action` must throw, whose message must hold `text`.
inline ErrorCode code_of(const std::function<void()>& action, const std::string& text) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr(text));
    return error.code();
  }
  ADD_FAILURE() << "no error; expected one with '" << text << "'";
  return ErrorCode::kInternal;
}

}  // namespace detente::test
