// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/nn/options.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace detente::nn {
namespace {

TEST(PairModelOptions, DefaultsAreLegal) {
  PairModelOptions options;
  EXPECT_NO_THROW(options.validate());
  EXPECT_NO_THROW(validate_fields([&](FieldVisitor& v) { options.describe(v); }, "[test]"));
  HeadOptions head;
  EXPECT_NO_THROW(head.validate());
  EXPECT_NO_THROW(validate_fields([&](FieldVisitor& v) { head.describe(v); }, "[test]"));
}

TEST(PairModelOptions, EveryFieldCanBeSetByName) {
  PairModelOptions options;
  const Describe describe = [&](FieldVisitor& v) { options.describe(v); };
  for (const auto& field : list_fields(describe)) {
    EXPECT_NO_THROW(set_field(describe, field.name, field.default_value, "[test]")) << field.name;
  }
  set_field(describe, "mode", "cross", "[test]");
  EXPECT_EQ(options.mode, PairModelOptions::Mode::kCross);
}

TEST(PairModelOptions, RefusesFieldsThatDoNotFitEachOther) {
  EXPECT_THROW((PairModelOptions{.width = 10, .heads = 4}).validate(), Error);
  // Without layers there are no attention heads.
  EXPECT_NO_THROW((PairModelOptions{.width = 10, .layers = 0, .heads = 4}).validate());
  EXPECT_THROW((PairModelOptions{.mode = PairModelOptions::Mode::kCross,
                                 .alignment = PairModelOptions::Alignment::kTokens})
                   .validate(),
               Error);
  EXPECT_THROW((HeadOptions{.low = 1.0, .high = 1.0}).validate(), Error);
}

}  // namespace
}  // namespace detente::nn
