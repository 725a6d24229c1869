// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/losses/registry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace detente::losses {
namespace {

TEST(LossRegistry, EveryEntryMakesTheLossItNames) {
  for (const auto& entry : registry()) {
    const auto loss = entry.make();
    EXPECT_EQ(loss->name(), entry.name);
    EXPECT_FALSE(entry.heads.empty());
    EXPECT_TRUE(entry.summary.ends_with("."));
    EXPECT_NO_THROW(validate_fields([&](FieldVisitor& v) { loss->describe(v); }, "[test]"));
  }
}

TEST(LossRegistry, EveryHeadHasADefaultThatFits) {
  for (const auto head : {HeadKind::kRegression,
                          HeadKind::kBinary,
                          HeadKind::kClasses,
                          HeadKind::kSegmentation,
                          HeadKind::kDepth,
                          HeadKind::kNormals}) {
    EXPECT_NO_THROW(make_loss(default_loss(head), head)) << name_of(head);
  }
}

TEST(LossRegistry, NamesTheNearestLoss) {
  try {
    make_loss("corelation");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), testing::HasSubstr("Did you mean 'correlation'?"));
  }
}

TEST(LossRegistry, RefusesALossThatDoesNotFitTheHead) {
  try {
    make_loss("mse", HeadKind::kBinary);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.what(), testing::HasSubstr("expected one of: bce, focal"));
  }
}

}  // namespace
}  // namespace detente::losses
