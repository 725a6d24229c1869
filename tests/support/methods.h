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

#include "tests/support/problems.h"

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

// One step on a Jacobian for a method of any class: the direction, and the weights in `result`.
inline std::vector<double> take_step(balance::Method& method,
                                     const Matrix& jacobian,
                                     const std::vector<double>& losses,
                                     Rng* rng,
                                     balance::Result& result) {
  const std::size_t k = jacobian.rows();
  std::vector<double> d(jacobian.cols());
  if (method.method_class() == balance::MethodClass::kCoordinates) {
    method.direct({.tasks = k, .losses = losses, .rng = rng},
                  balance::Rows<double>{jacobian.data(), k, d.size(), d.size()},
                  d,
                  result);
    return d;
  }
  const Matrix gram = gram_of(jacobian);
  method.solve({.tasks = k, .gram = gram, .losses = losses, .rng = rng}, result);
  return direction_of(jacobian, result.weights);
}

inline std::vector<double> take_step(balance::Method& method,
                                     const Matrix& jacobian,
                                     const std::vector<double>& losses = {},
                                     Rng* rng = nullptr) {
  balance::Result result;
  return take_step(method, jacobian, losses, rng, result);
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
