// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/pattern.h>
#include <gtest/gtest.h>

namespace detente::annotate {
namespace {

TEST(Pattern, SaysWhatItIsAboutWithoutBeingRead) {
  EXPECT_EQ(built_in_patterns().size(), 6);
  for (const auto& [name, text] : built_in_patterns()) {
    EXPECT_EQ(about_of(text), load_pattern(name).about);
    EXPECT_FALSE(about_of(text).empty()) << name;
  }
  EXPECT_EQ(about_of("name: x\n"), "");
  EXPECT_EQ(about_of("name: x\nabout: no end"), "no end");
}

}  // namespace
}  // namespace detente::annotate
