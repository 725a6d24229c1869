// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/calculator.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace detente::annotate {
namespace {

TEST(Calculate, IsArithmetic) {
  for (const auto& [text, value] : {std::pair{"1+2*3", "7"},
                                    {"(1 + 2) * 3", "9"},
                                    {"2^3^2", "512"},
                                    {"-2^2", "-4"},
                                    {"2^-1", "0.5"},
                                    {"10/4", "2.5"},
                                    {"7 % 4", "3"},
                                    {"1 - 2 - 3", "-4"},
                                    {"8/4/2", "1"},
                                    {"--3", "3"},
                                    {"+.5", "0.5"},
                                    {"1e3", "1000"},
                                    {" 42 ", "42"},
                                    {"2*-3", "-6"},
                                    {"(((1)))", "1"},
                                    {"0.1+0.2", "0.30000000000000004"}}) {
    EXPECT_EQ(calculate(text), value) << text;
  }
}

TEST(Calculate, RefusesAllElse) {
  for (const std::string& text : {std::string(),
                                  std::string(" "),
                                  std::string("1+"),
                                  std::string("(1"),
                                  std::string("1)"),
                                  std::string("1 2"),
                                  std::string("x"),
                                  std::string("1/0"),
                                  std::string("1%0"),
                                  std::string("9^9^9"),
                                  std::string("system(1)"),
                                  std::string("nan"),
                                  std::string("inf"),
                                  std::string("0x10"),
                                  std::string("1,5"),
                                  std::string(2000, '1'),
                                  std::string(900, '('),
                                  std::string(900, '-') + "1",
                                  std::string("(-1)^0.5")}) {
    EXPECT_THROW(calculate(text), Error) << text.substr(0, 20);
  }
}

}  // namespace
}  // namespace detente::annotate
