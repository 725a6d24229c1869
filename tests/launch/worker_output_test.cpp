// SPDX-License-Identifier: Apache-2.0
#include <detente/launch/worker_output.h>
#include <gtest/gtest.h>

#include <string>

namespace detente::launch {
namespace {

TEST(MarkedLines, AreTheSameHoweverTheBytesArrive) {
  const std::string text = "first\n\nthird line\r\nlast";
  for (std::size_t step = 1; step <= text.size(); ++step) {
    MarkedLines lines("[3] ");
    std::string all;
    for (std::size_t at = 0; at < text.size(); at += step) all += lines.add(text.substr(at, step));
    EXPECT_EQ(all, "[3] first\n[3] \n[3] third line\r\n");
    EXPECT_EQ(lines.rest(), "[3] last\n");
    EXPECT_EQ(lines.rest(), "");
  }
}

TEST(MarkedLines, GiveALineWithoutEndInPieces) {
  MarkedLines lines("[1] ");
  const std::string piece(MarkedLines::kLongest, 'x');
  EXPECT_EQ(lines.add(piece), "[1] " + piece + "\n");
  EXPECT_EQ(lines.add("y"), "");
  EXPECT_EQ(lines.add("\n"), "[1] y\n");
}

}  // namespace
}  // namespace detente::launch
