// SPDX-License-Identifier: Apache-2.0
#include <detente/report/html_page.h>
#include <detente/serve/request.h>
#include <detente/serve/run_list.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

namespace detente::serve {
namespace {

TEST(HostAllowed, TakesThisMachineAndThisPortAlone) {
  for (const char* host : {"localhost:6061", "LocalHost:6061", "127.0.0.1:6061", "[::1]:6061"}) {
    EXPECT_TRUE(host_allowed(host, 6061)) << host;
  }
  for (const char* host : {"",
                           "localhost",
                           "localhost:",
                           "localhost:6062",
                           "localhost:06061",
                           "localhost:6061 ",
                           " localhost:6061",
                           "localhost:6061:6061",
                           "localhost.:6061",
                           "localhost.evil.example:6061",
                           "evil.example:6061",
                           "evil.example",
                           "127.0.0.1.evil.example:6061",
                           "127.1:6061",
                           "2130706433:6061",
                           "::1:6061",
                           "0.0.0.0:6061",
                           "user@localhost:6061",
                           "localhost:6061@evil.example",
                           "localhost:6061,evil.example"}) {
    EXPECT_FALSE(host_allowed(host, 6061)) << host;
  }
  EXPECT_TRUE(host_allowed("localhost", 80));
}

TEST(PathOf, SplitsAndDecodesOnce) {
  EXPECT_EQ(path_of("/"), Segments());
  EXPECT_EQ(path_of("/run//a/"), Segments({"run", "a"}));
  EXPECT_EQ(path_of("/run/a%20b%25?c=..#/.."), Segments({"run", "a b%"}));
  EXPECT_EQ(path_of("/%252e%252e"), Segments({"%2e%2e"}));
  EXPECT_EQ(path_of("/.../..a"), Segments({"...", "..a"}));
}

TEST(PathOf, RefusesWhatLeadsElsewhere) {
  for (const char* target : {"",
                             "*",
                             "a",
                             "http://localhost/",
                             "/..",
                             "/a/../b",
                             "/.",
                             "/%2e",
                             "/%2E%2e",
                             "/.%2e/",
                             "/a%2fb",
                             "/a%00b",
                             "/%",
                             "/%4",
                             "/%g0",
                             "/%0g"}) {
    EXPECT_EQ(path_of(target), std::nullopt) << target;
  }
  EXPECT_EQ(path_of(std::string("/a\0b", 4)), std::nullopt);
  EXPECT_EQ(path_of("/" + std::string(5000, 'a')), std::nullopt);
  std::string deep;
  for (int i = 0; i < 33; ++i) deep += "/a";
  EXPECT_EQ(path_of(deep), std::nullopt);
}

TEST(PathOf, UndoesHrefWhateverTheNames) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 2000; ++trial) {
    Segments names;
    for (std::size_t n = 1 + random() % 3; n > 0; --n) {
      std::string name = "x";
      for (std::size_t i = random() % 8; i > 0; --i) {
        const char c = static_cast<char>(1 + random() % 255);
        name += c == '/' ? '_' : c;
      }
      names.push_back(name);
    }
    EXPECT_EQ(path_of("/run/" + report::href("x/" + joined(names))).value().size(),
              names.size() + 2);
    Segments found = *path_of("/" + report::href("x/" + joined(names)));
    found.erase(found.begin());
    EXPECT_EQ(found, names);
  }
}

TEST(NaturalLess, CountsNumbersByValue) {
  std::vector<std::string> names{
      "seed-10", "seed-2", "seed-02", "a", "", "seed-", "b1c10", "b1c9", "9", "10"};
  std::sort(names.begin(), names.end(), natural_less);
  EXPECT_THAT(names,
              ::testing::ElementsAre(
                  "", "9", "10", "a", "b1c9", "b1c10", "seed-", "seed-02", "seed-2", "seed-10"));
}

TEST(NaturalLess, IsAStrictOrder) {
  std::mt19937 random(5);
  const auto word = [&] {
    std::string text;
    for (std::size_t i = random() % 5; i > 0; --i) text += "01a-"[random() % 4];
    return text;
  };
  for (int trial = 0; trial < 5000; ++trial) {
    const std::string a = word();
    const std::string b = word();
    const std::string c = word();
    EXPECT_EQ(natural_less(a, b) || natural_less(b, a), a != b) << a << " " << b;
    EXPECT_FALSE(natural_less(a, b) && natural_less(b, a)) << a << " " << b;
    EXPECT_TRUE(!natural_less(a, b) || !natural_less(b, c) || natural_less(a, c))
        << a << " " << b << " " << c;
  }
}

}  // namespace
}  // namespace detente::serve
