// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/react.h>
#include <gtest/gtest.h>

#include <string>

namespace detente::annotate {
namespace {

TEST(ReadTurn, TakesWhatComesFirst) {
  const Turn action = read_turn(
      "Thought: x\nAction: {\"tool\": \"a\", \"arguments\": {\"q\": \"} \\\" {\"}}\nAnswer: no");
  EXPECT_EQ(action.action, R"({"tool": "a", "arguments": {"q": "} \" {"}})");
  EXPECT_FALSE(action.answer.has_value());
  EXPECT_EQ(action.kept.find("Answer"), std::string::npos);
  const Turn answer = read_turn("**Answer:** good\nAction: {}");
  EXPECT_EQ(answer.answer, "good");
  EXPECT_FALSE(answer.action.has_value());
  EXPECT_EQ(read_turn("action:\n```json\n{\"tool\": \"a\"}\n```").action, R"({"tool": "a"})");
  EXPECT_EQ(read_turn("Action: search leave").action, "search leave");
  EXPECT_EQ(read_turn("Action: {\"tool\": ").action, R"({"tool":)");
  for (const char* neither : {"", "The action: none", "I would answer: good", "\n\n"}) {
    const Turn turn = read_turn(neither);
    EXPECT_FALSE(turn.action || turn.answer) << neither;
  }
}

TEST(CanonicalAction, IsTheSameForTheSame) {
  EXPECT_EQ(canonical_action(R"({"b": 1, "a": {"d": "x",  "c": 2}})"),
            canonical_action(R"({"a":{"c":2,"d":"x"},"b":1})"));
  EXPECT_NE(canonical_action(R"({"a": 1})"), canonical_action(R"({"a": "1"})"));
  EXPECT_EQ(canonical_action("no json"), "no json");
}

}  // namespace
}  // namespace detente::annotate
