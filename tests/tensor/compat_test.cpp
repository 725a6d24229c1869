// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/tensor/compat.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

namespace detente::tensor {
namespace {

TEST(Compat, NamesTheEngineByItsVersion) {
  EXPECT_THAT(engine_version(), testing::MatchesRegex("[12]\\.[0-9]+\\.[0-9]+"));
}

TEST(Compat, TurnsAnEngineErrorIntoOneLineOfOurs) {
  try {
    translate_errors("tensor::test", [] { torch::ones({2, 3}).mm(torch::ones({2, 3})); });
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInternal);
    EXPECT_THAT(error.what(), testing::StartsWith("[tensor::test] "));
    EXPECT_THAT(error.what(), testing::HasSubstr("2x3"));
    EXPECT_THAT(error.what(), testing::Not(testing::HasSubstr("\n")));
  }
}

TEST(Compat, LetsOurOwnErrorsPass) {
  try {
    translate_errors("tensor::test", [] { throw Error(ErrorCode::kData, "as it was"); });
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kData);
    EXPECT_STREQ(error.what(), "as it was");
  }
}

TEST(Compat, ClearedGradientsAreUndefined) {
  const TensorList parameters = {torch::ones({2}).requires_grad_(),
                                 torch::ones({3}).requires_grad_()};
  parameters[0].square().sum().backward();
  ASSERT_TRUE(parameters[0].grad().defined());
  clear_gradients(parameters);
  EXPECT_FALSE(parameters[0].grad().defined());
  EXPECT_FALSE(parameters[1].grad().defined());
}

}  // namespace
}  // namespace detente::tensor
