// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/ew.h>
#include <detente/balance/method.h>
#include <detente/balance/mgda.h>
#include <detente/balance/uw.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include "tests/support/problems.h"

namespace detente::balance {
namespace {

using namespace detente::test;

std::string message_of(Method& method, const Problem& problem, ErrorCode code) {
  Result result;
  try {
    method.solve(problem, result);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "the input was accepted";
  return {};
}

TEST(Method, RefusesAGramMatrixOfTheWrongSize) {
  const Matrix gram = matrix_of({{1, 0}, {0, 1}});
  const auto text = message_of(*make_mgda(), {.tasks = 3, .gram = gram}, ErrorCode::kShape);
  EXPECT_NE(text.find("3x3; got 2x2"), std::string::npos) << text;
}

TEST(Method, RefusesAnUnsymmetricGramMatrix) {
  const Matrix gram = matrix_of({{1, 0.5}, {0.4, 1}});
  const auto text = message_of(*make_mgda(), {.tasks = 2, .gram = gram}, ErrorCode::kNumeric);
  EXPECT_NE(text.find("symmetric"), std::string::npos) << text;
}

TEST(Method, RefusesANegativeSquaredNorm) {
  const Matrix gram = matrix_of({{1, 0}, {0, -1}});
  const auto text = message_of(*make_mgda(), {.tasks = 2, .gram = gram}, ErrorCode::kNumeric);
  EXPECT_NE(text.find("negative"), std::string::npos) << text;
}

TEST(Method, RefusesInnerProductsAboveTheNorms) {
  const Matrix gram = matrix_of({{1, 2}, {2, 1}});
  const auto text = message_of(*make_mgda(), {.tasks = 2, .gram = gram}, ErrorCode::kNumeric);
  EXPECT_NE(text.find("no Gram matrix"), std::string::npos) << text;
}

TEST(Method, AcceptsFloat32RoundingInTheGramMatrix) {
  const Matrix gram = matrix_of({{1, 1.0000001}, {1.0000002, 1}});
  Result result;
  EXPECT_NO_THROW(make_mgda()->solve({.tasks = 2, .gram = gram}, result));
}

TEST(Method, NamesTheTaskWhoseLossIsNotFinite) {
  const std::vector<double> losses = {1.0, std::nan("")};
  const std::vector<std::string> names = {"a", "b"};
  const auto text =
      message_of(*make_uw(), {.tasks = 2, .losses = losses, .names = names}, ErrorCode::kNumeric);
  EXPECT_NE(text.find("'b'"), std::string::npos) << text;
}

TEST(Method, DemandsLossesOnlyWhereTheyAreUsed) {
  Result result;
  EXPECT_NO_THROW(make_ew()->solve({.tasks = 2}, result));
  message_of(*make_uw(), {.tasks = 2}, ErrorCode::kShape);
}

TEST(Method, ClearsTheResultOfTheStepBefore) {
  const auto method = make_mgda();
  Result result;
  const Matrix zero(2, 2);
  method->solve({.tasks = 2, .gram = zero}, result);
  EXPECT_FALSE(result.message.empty());
  const Matrix gram = matrix_of({{1, 0}, {0, 1}});
  method->solve({.tasks = 2, .gram = gram}, result);
  EXPECT_TRUE(result.message.empty());
  EXPECT_EQ(result.stop, StopReason::kConverged);
}

TEST(Ew, GivesTheMeanOrTheSum) {
  const auto method = make_ew();
  Result result;
  method->solve({.tasks = 4}, result);
  EXPECT_EQ(result.weights, std::vector<double>(4, 0.25));
  set_field([&](FieldVisitor& v) { method->describe(v); }, "scale", "sum", "[test]");
  method->solve({.tasks = 4}, result);
  EXPECT_EQ(result.weights, std::vector<double>(4, 1.0));
}

}  // namespace
}  // namespace detente::balance
