// SPDX-License-Identifier: Apache-2.0
// Against the answers of public general-purpose solvers (tests/golden/balance/README.md).
#include <detente/balance/registry.h>
#include <detente/core/file.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/support/problems.h"

namespace detente::balance {
namespace {

using namespace detente::test;

TEST(Golden, AgreesWithPublicSolvers) {
  const Json golden =
      Json::parse(read_file(DETENTE_SOURCE_DIR "/tests/golden/balance/golden.json"));
  ASSERT_FALSE(golden.at("cases").empty());
  for (const Json& example : golden.at("cases")) {
    const auto method = make_method(example.at("method").get<std::string>());
    for (const auto& [name, value] : example.at("options").items()) {
      set_field([&](FieldVisitor& v) { method->describe(v); }, name, value.dump(), "[test]");
    }
    const Matrix gram =
        gram_of(matrix_of(example.at("jacobian").get<std::vector<std::vector<double>>>()));
    SCOPED_TRACE(testing::Message()
                 << method->name() << " " << example.at("options").dump() << " k=" << gram.rows());
    Result result;
    method->solve({.tasks = gram.rows(), .gram = gram}, result);
    const auto inner = times(gram, result.weights);
    const double tolerance = example.at("tolerance").get<double>();
    for (std::size_t i = 0; i < inner.size(); ++i) {
      EXPECT_NEAR(inner[i], example.at("inner").at(i).get<double>(), tolerance * gram(i, i)) << i;
    }
  }
}

}  // namespace
}  // namespace detente::balance
