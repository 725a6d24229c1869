// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/answer.h>
#include <detente/annotate/citations.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace detente::annotate {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::vector<std::string> kLabels = {
    "negative", "neutral", "positive", "not relevant", "relevant", "no", "한국어"};

std::string label_of(const std::string& text, AnswerForm form = AnswerForm::kLabel) {
  const auto label = parse_label(text, kLabels, form);
  return label ? kLabels[*label] : "-";
}

TEST(ParseLabel, TakesWhatSaysALabelPlainly) {
  for (const char* text : {"positive",
                           " Positive.\n",
                           "\"POSITIVE\"",
                           "**positive**",
                           "positive, because it praises",
                           "Positive - it praises",
                           "The label is positive.",
                           "The label is \"positive.\"",
                           "The label is **positive**.",
                           "The label of this review is “positive”.",
                           "Sentiment: 'positive'",
                           "Sentiment: positive",
                           "I thought about it.\nAnswer: positive",
                           "Answer: negative\nNo.\n**Answer:** Positive.",
                           "{\"label\": \"positive\"}",
                           "```json\n{\"answer\": \"Positive\"}\n```",
                           "The answer is positive",
                           "Final answer: positive",
                           "Label: 'positive'"}) {
    EXPECT_EQ(label_of(text), "positive") << text;
  }
  EXPECT_EQ(label_of("Not relevant."), "not relevant");
  EXPECT_EQ(label_of("relevant"), "relevant");
  EXPECT_EQ(label_of("no"), "no");
  EXPECT_EQ(label_of("\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab국어。"),
            "한국어");  // as conjoining jamo
}

TEST(ParseLabel, TakesNothingElse) {
  for (const char* text : {"",
                           " ",
                           "unknown",
                           "This is not positive",
                           "positive or negative",
                           "not positive",
                           "It is not \"positive\"",
                           "The label is not \"positive.\"",
                           "positively great",
                           "Neither positive nor negative",
                           "positive\nnegative",
                           "It is positive and it is negative",
                           "Answer: none of them",
                           "Answer:",
                           "{\"label\": 3}",
                           "{\"label\": \"x\"} positive",
                           "is it positive?",
                           "\xff\xfepositive"}) {
    EXPECT_EQ(label_of(text), "-") << text;
  }
  EXPECT_EQ(label_of("positive", AnswerForm::kLine), "-");
  EXPECT_EQ(label_of("Answer: positive", AnswerForm::kLine), "positive");
}

TEST(Citations, AreThoseAmongThePassages) {
  EXPECT_THAT(citations_of("A [2]. B [1, 3][2].", 3).cited, ElementsAre(1, 2, 3));
  EXPECT_THAT(citations_of("A [0] [4] [99999999999999999999] [1].", 3).foreign,
              ElementsAre("[0]", "[4]", "[99999999999999999999]"));
  EXPECT_THAT(citations_of("x[i] [] [ ] [1 [a2] [-1] [1.5]", 3).cited, IsEmpty());
  EXPECT_THAT(citations_of("x[i] [] [ ] [1 [a2] [-1] [1.5]", 3).foreign, IsEmpty());
  EXPECT_EQ(without_citations("Answer: positive [1, 2]. [x]"), "Answer: positive . [x]");
  EXPECT_TRUE(says_not_found("Answer: Not in the sources.", "not in the sources"));
  EXPECT_FALSE(says_not_found("It is not in the sources", "not in the sources"));
}

}  // namespace
}  // namespace detente::annotate
