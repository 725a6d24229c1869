// SPDX-License-Identifier: Apache-2.0
#include <detente/core/fnv.h>
#include <gtest/gtest.h>

namespace detente {
namespace {

// From the test vectors of the authors' own code (test_fnv.c).
TEST(Fnv1a, IsThatOfItsAuthors) {
  EXPECT_EQ(fnv1a(""), 0xcbf29ce484222325ULL);
  EXPECT_EQ(fnv1a("a"), 0xaf63dc4c8601ec8cULL);
  EXPECT_EQ(fnv1a("foobar"), 0x85944171f73967e8ULL);
}

TEST(Fnv1a, GoesOnWhereItStopped) {
  const std::string_view text("a\0\xff\x80 b", 6);
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    EXPECT_EQ(fnv1a(text.substr(cut), fnv1a(text.substr(0, cut))), fnv1a(text)) << cut;
  }
}

}  // namespace
}  // namespace detente
