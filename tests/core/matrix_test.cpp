// SPDX-License-Identifier: Apache-2.0
#include <detente/core/matrix.h>
#include <gtest/gtest.h>

namespace detente {
namespace {

TEST(Matrix, IsRowMajor) {
  Matrix m(2, 3, 7.0);
  m(0, 2) = 1.0;
  m(1, 0) = 2.0;
  EXPECT_EQ(m.data()[2], 1.0);
  EXPECT_EQ(m.data()[3], 2.0);
  EXPECT_EQ(m.view()(1, 0), 2.0);
  EXPECT_EQ(m.view()(1, 1), 7.0);
}

TEST(Matrix, KnowsWhenItIsEmpty) {
  EXPECT_TRUE(Matrix().view().empty());
  EXPECT_TRUE(Matrix(0, 3).view().empty());
  EXPECT_FALSE(Matrix(1, 1).view().empty());
}

}  // namespace
}  // namespace detente
