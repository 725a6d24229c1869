// SPDX-License-Identifier: Apache-2.0
#include <detente/valuation/value_table.h>
#include <gtest/gtest.h>

#include <cmath>

namespace detente::valuation {
namespace {

TEST(ValueTable, AVerdictIsBeyondTwoStandardErrors) {
  EXPECT_EQ(verdict(1.0, 0.4), Verdict::kHelpful);
  EXPECT_EQ(verdict(-1.0, 0.4), Verdict::kHarmful);
  EXPECT_EQ(verdict(1.0, 0.5), Verdict::kUndecided);
  EXPECT_EQ(verdict(0.0, 0.0), Verdict::kUndecided);
  EXPECT_EQ(verdict(std::nan(""), 0.1), Verdict::kUndecided);
  EXPECT_EQ(verdict(1.0, std::nan("")), Verdict::kUndecided);
}

}  // namespace
}  // namespace detente::valuation
