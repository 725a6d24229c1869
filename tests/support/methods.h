// SPDX-License-Identifier: Apache-2.0
// Short ways to configure a method and to take a step with it.
#pragma once

#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace detente::test {

using Settings = std::vector<std::pair<std::string, std::string>>;

inline std::unique_ptr<balance::Method> make_with(const std::string& name,
                                                  const Settings& settings = {}) {
  auto method = balance::make_method(name);
  for (const auto& [key, value] : settings) {
    set_field([&](FieldVisitor& v) { method->describe(v); }, key, value, "[test]");
  }
  return method;
}

// The weights of the last of `steps` steps on the same losses.
inline std::vector<double> weigh_losses(balance::Method& method,
                                        const std::vector<double>& losses,
                                        int steps = 1,
                                        Rng* rng = nullptr) {
  balance::Result result;
  for (int i = 0; i < steps; ++i) {
    method.solve({.tasks = losses.size(), .losses = losses, .rng = rng}, result);
  }
  return result.weights;
}

inline balance::Result solve_gram(balance::Method& method, const Matrix& gram, Rng* rng = nullptr) {
  balance::Result result;
  method.solve({.tasks = gram.rows(), .gram = gram, .rng = rng}, result);
  return result;
}

// The method refuses these losses with a message that contains `text`.
inline void expect_losses_refused(const std::string& name,
                                  const std::vector<double>& losses,
                                  ErrorCode code,
                                  const std::string& text) {
  const auto method = balance::make_method(name);
  try {
    weigh_losses(*method, losses);
    ADD_FAILURE() << name << " accepted the losses";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
  }
}

}  // namespace detente::test
