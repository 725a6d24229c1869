// SPDX-License-Identifier: Apache-2.0
// Short ways to configure a method, to take a step with it and to judge the weights.
#pragma once

#include <detente/balance/registry.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/problems.h"
#include "tests/support/tolerances.h"

namespace detente::balance {

// Printed by GoogleTest instead of the struct's bytes.
inline void PrintTo(const MethodInfo& info, std::ostream* out) { *out << info.name; }

}  // namespace detente::balance

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

// The text of an option that is a list.
inline std::string list_of(const std::vector<double>& values) {
  std::string text = "[";
  for (std::size_t i = 0; i < values.size(); ++i) {
    text += (i > 0 ? ", " : "") + number_text(values[i]);
  }
  return text + "]";
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

inline balance::Result solve_gram(balance::Method& method,
                                  const Matrix& gram,
                                  const std::vector<double>& losses = {},
                                  Rng* rng = nullptr) {
  balance::Result result;
  method.solve({.tasks = gram.rows(), .gram = gram, .losses = losses, .rng = rng}, result);
  return result;
}

// The Gram matrix of drawn objectives from that of the tasks.
inline Matrix gram_of_objectives(std::span<const balance::Objective> objectives,
                                 const Matrix& gram) {
  Matrix result(objectives.size(), objectives.size());
  for (std::size_t a = 0; a < objectives.size(); ++a) {
    for (std::size_t b = 0; b < objectives.size(); ++b) {
      for (const std::size_t i : objectives[a].tasks) {
        for (const std::size_t j : objectives[b].tasks) {
          result(a, b) += objectives[a].factor * objectives[b].factor * gram(i, j);
        }
      }
    }
  }
  return result;
}

// The losses after `steps` steps of gradient descent on L_i = ½‖x − c_i‖² in the plane, whose
// Pareto set is the hull of the centres.
inline std::vector<double> descend(balance::Method& method, const Matrix& centres, int steps) {
  std::vector<double> x = {5, 4};
  std::vector<double> losses(centres.rows());
  for (int step = 0; step < steps; ++step) {
    Matrix jacobian(centres.rows(), 2);
    for (std::size_t i = 0; i < losses.size(); ++i) {
      losses[i] = 0;
      for (std::size_t p = 0; p < 2; ++p) {
        jacobian(i, p) = x[p] - centres(i, p);
        losses[i] += 0.5 * jacobian(i, p) * jacobian(i, p);
      }
    }
    const auto d = direction_of(jacobian, solve_gram(method, gram_of(jacobian), losses).weights);
    for (std::size_t p = 0; p < 2; ++p) x[p] -= 0.01 * d[p];
  }
  return losses;
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

// The weights are the gradient of `value` at these losses.
inline void expect_gradient(const std::vector<double>& weights,
                            const std::vector<double>& losses,
                            const std::function<double(const std::vector<double>&)>& value) {
  const double h = 1e-6;
  ASSERT_EQ(weights.size(), losses.size());
  for (std::size_t i = 0; i < losses.size(); ++i) {
    auto above = losses;
    auto below = losses;
    above[i] += h;
    below[i] -= h;
    EXPECT_NEAR(weights[i], (value(above) - value(below)) / (2 * h), kReference) << i;
  }
}

inline void expect_on_simplex(const std::vector<double>& weights) {
  double sum = 0;
  for (const double w : weights) {
    EXPECT_GE(w, 0.0);
    sum += w;
  }
  EXPECT_NEAR(sum, 1.0, kRounding);
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
