// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <detente/core/error.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace detente::test {

// The error of `body`, which must throw one.
inline Error error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return {ErrorCode::kInternal, "no error"};
}

// What it says.
inline std::string said(const std::function<void()>& body) { return error_of(body).what(); }

}  // namespace detente::test
