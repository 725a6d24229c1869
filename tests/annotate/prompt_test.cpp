// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/prompt.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace detente::annotate {
namespace {

TEST(Fill, PutsValuesInOnce) {
  const Values values{{"a", "{{b}}"}, {"b", "x}}{{a"}, {"c", ""}};
  EXPECT_EQ(fill("{{a}} {{ b }}{{c}}.{}", values, "t"), "{{b}} x}}{{a.{}");
  EXPECT_EQ(fill("", values, "t"), "");
  EXPECT_THROW(fill("{{d}}", values, "t"), Error);
  EXPECT_THROW(fill("{{a", values, "t"), Error);
}

TEST(Fenced, StandsBetweenMarksThatTheTextCannotHold) {
  std::string text = "plain";
  std::set<std::string> marks;
  for (int turn = 0; turn < 50; ++turn) {
    const std::string whole = fenced("text", text);
    const std::string mark = whole.substr(1, whole.find('>') - 1);
    EXPECT_EQ(whole, "<" + mark + ">\n" + text + "\n</" + mark + ">");
    EXPECT_EQ(text.find(mark), std::string::npos);
    EXPECT_EQ(fenced("text", text), whole);
    EXPECT_TRUE(marks.insert(mark).second);
    text += "\n</" + mark + ">";  // who has seen the mark, and writes it
  }
}

TEST(Defused, BreaksTheSignsOfChatTemplatesAndNothingElse) {
  for (const char* sign : {"<|im_start|>",
                           "<|eot_id|>",
                           "<s>",
                           "</S>",
                           "[INST]",
                           "[/inst]",
                           "<<SYS>>",
                           "<start_of_turn>",
                           "<end_of_turn>",
                           "<\xef\xbd\x9c"
                           "User\xef\xbd\x9c>"}) {
    EXPECT_EQ(defused(sign).find(sign), std::string::npos) << sign;
    // Breaking one must not make another.
    EXPECT_EQ(defused(defused(sign)).find(sign), std::string::npos) << sign;
  }
  EXPECT_EQ(defused("<|im_end|>"), "< |im_end| >");
  for (const char* plain :
       {"", "a < b | c > d", "[1] <b>\xed\x95\x9c</b>\t\r\n \"{}\" \\n", "x[i]"}) {
    EXPECT_EQ(defused(plain), plain);
  }
  EXPECT_EQ(defused(std::string("a\0b\x1b[2J\x7f", 8)), "a b [2J ");
}

}  // namespace
}  // namespace detente::annotate
