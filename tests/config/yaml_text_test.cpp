// SPDX-License-Identifier: Apache-2.0
// Every text survives being written as YAML and read back.
#include <detente/config/tree.h>
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/text/unicode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace detente::config {
namespace {

using ::testing::HasSubstr;

struct Words {
  std::string word;
  std::vector<std::string> list;
  void describe(FieldVisitor& v) {
    v.text("word", word, "Word.");
    v.texts("list", list, {}, "Words.");
  }
};

void expect_survives(const std::string& text) {
  const Node root = parse_yaml(text_yaml(text) + ": " + text_yaml(text) + "\n", "t");
  ASSERT_EQ(root.entries.size(), 1U) << text;
  EXPECT_EQ(root.entries[0].first, text);
  EXPECT_EQ(root.entries[0].second.kind, Node::Kind::kScalar) << text;
  EXPECT_EQ(root.entries[0].second.scalar, text);
  Words words{text, {text, "next", text}};
  const Describe describe = [&](FieldVisitor& v) { words.describe(v); };
  const std::string yaml = to_yaml(describe);
  words = {};
  read_fields(parse_yaml(yaml, "t"), describe);
  EXPECT_EQ(words.word, text) << yaml;
  EXPECT_THAT(words.list, ::testing::ElementsAre(text, "next", text)) << yaml;
}

TEST(YamlText, SurvivesWhateverItIs) {
  for (const char* text : {"",
                           " ",
                           "a",
                           "a b",
                           " a",
                           "a ",
                           "?",
                           "yes?",
                           "? a",
                           "-",
                           "- a",
                           "---",
                           "...",
                           "~",
                           "=",
                           "<<",
                           "!",
                           "!!str",
                           "&a",
                           "*a",
                           "|",
                           ">",
                           "%",
                           "%YAML 1.2",
                           "@",
                           "`",
                           ",",
                           ",a",
                           "a,b",
                           "[",
                           "]",
                           "[a",
                           "{",
                           "}",
                           "{a: 1}",
                           ":",
                           ": a",
                           "a: b",
                           "a:",
                           "#",
                           "a #b",
                           "a#b",
                           "'",
                           "''",
                           "\"",
                           "\"a",
                           "it's",
                           "\\",
                           "\\n",
                           "a\\",
                           "\t",
                           "a\tb",
                           "\ta",
                           "a\t",
                           "\n",
                           "a\nb",
                           "a\n",
                           "\na",
                           "a\r\nb",
                           "\r",
                           "a\n\nb",
                           "0",
                           "7",
                           "-1",
                           "+1",
                           "1.5",
                           "1e5",
                           "1e-310",
                           "0x1f",
                           "0o17",
                           "1_000",
                           ".5",
                           ".inf",
                           "-.inf",
                           ".nan",
                           "inf",
                           "NaN",
                           "12:30:45",
                           "2011-01-31",
                           "null",
                           "true",
                           "false",
                           "yes",
                           "no",
                           "on",
                           "off",
                           "y",
                           "n",
                           "NA",
                           "점수",
                           "예, 아니오",
                           "Straße",
                           "да",
                           "はい",
                           "日本語",
                           "😀",
                           "\xc2\x85",
                           "\xe2\x80\xa8",
                           "\xef\xbb\xbf",
                           "\xc2\xa0",
                           "\x7f",
                           "\x01",
                           "\x1b[31m",
                           "a/b.csv",
                           "C:\\x",
                           "a=b",
                           "é",
                           "e\xcc\x81"}) {
    expect_survives(text);
  }
  expect_survives(std::string("a\0b", 3));
}

TEST(YamlText, SurvivesTheWordsOfYamlInAnyCase) {
  for (const char* word :
       {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"}) {
    const std::string lower = word;
    for (unsigned mask = 0; mask < 1U << lower.size(); ++mask) {
      std::string text = lower;
      for (std::size_t i = 0; i < text.size(); ++i) {
        if ((mask >> i & 1U) != 0) text[i] = static_cast<char>(text[i] - 'a' + 'A');
      }
      expect_survives(text);
      EXPECT_EQ(text_yaml(text).front(), '"') << text;
    }
  }
}

TEST(YamlText, SurvivesWhateverIsDrawn) {
  const std::string signs = "-?:,[]{}#&*!|>'\"%@`~=<\\ \t\n\r.0189aeENnyY_/+";
  Rng rng(7);
  for (int draw = 0; draw < 20000; ++draw) {
    std::string text;
    const std::uint64_t length = rng.below(8);
    for (std::uint64_t i = 0; i < length; ++i) {
      if (rng.below(6) == 0) {
        auto code = static_cast<char32_t>(1 + rng.below(0x1ffff));
        if (code >= 0xd800 && code < 0xe000) code = 0xac00;
        text::append_utf8(text, code);
      } else {
        text += signs[rng.below(signs.size())];
      }
    }
    expect_survives(text);
  }
}

std::string yaml_error(const std::string& text) {
  try {
    parse_yaml(text, "r.yaml");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "no error";
}

TEST(ParseYaml, EndsAtWhatNoDocumentHolds) {
  for (const char* text : {",",
                           ",a",
                           "\"a\",\"b\"",
                           "{name: x},",
                           "[a],",
                           "a: 1\n,",
                           "]",
                           "}",
                           "a: 1\n]",
                           "{a: 1}}",
                           "? ,",
                           "- ,",
                           ":,",
                           "{a: 1} b"}) {
    EXPECT_NE(yaml_error(text), "no error") << text;
  }
  EXPECT_THAT(yaml_error("{name: x},\n"), HasSubstr("r.yaml:1: the text goes on after its end"));
}

TEST(ParseYaml, TakesNoLongerThanTheTextIsLong) {
  std::string text;
  for (int i = 0; i < 90000; ++i)
    text += "key" + std::to_string(i) + ": " + std::to_string(i) + "\n";
  EXPECT_EQ(parse_yaml(text, "t").entries.size(), 90000U);
  EXPECT_THAT(yaml_error(text + "key7: 1\n"),
              HasSubstr("r.yaml:90001: the key 'key7' is given twice"));
}

TEST(ParseYaml, RefusesDepthWithoutEnd) {
  std::string dashes;
  for (int i = 0; i < 100000; ++i) dashes += "- ";
  for (const std::string& text : {std::string(100000, '['), std::string(100000, '{'), dashes}) {
    EXPECT_NE(yaml_error("a:\n  " + text), "no error");
  }
}

TEST(ParseYaml, EscapesBecomeUtf8) {
  const Node node = parse_yaml("\"a\\_b\\Nc\\L\": \"\\_\\x85\\u00a0\\N\"\n", "x");
  ASSERT_EQ(node.entries.size(), 1u);
  EXPECT_EQ(node.entries[0].first, "a\u00a0b\u0085c\u2028");
  EXPECT_EQ(node.entries[0].second.scalar, "\u00a0\u0085\u00a0\u0085");
}

TEST(ParseYaml, SaysWhereTextIsNoUtf8) {
  EXPECT_THAT(yaml_error("seed: 1\nname: caf\xe9\n"),
              HasSubstr("r.yaml:2: byte 0xe9 is not valid UTF-8"));
}

std::string after(const std::string& assignment) {
  Node root = parse_yaml("{a: {b: old}}", "t");
  apply_override(root, assignment);
  const Node* node = find_path(root, "a.b");
  return node->kind == Node::Kind::kScalar ? node->scalar : "no text";
}

std::string refusal_of(const std::string& assignment) {
  try {
    return after(assignment);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
}

TEST(ApplyOverride, KeepsANumberSign) {
  EXPECT_EQ(after("a.b=runs/x #2"), "runs/x #2");
  EXPECT_EQ(after("a.b=#2"), "#2");
  EXPECT_EQ(after("a.b='x #2'"), "x #2");
  EXPECT_EQ(after("a.b=x"), "x");
}

TEST(ApplyOverride, RefusesNothing) {
  EXPECT_THAT(refusal_of("a.b="), HasSubstr("gives no value"));
  EXPECT_THAT(refusal_of("a.b=  "), HasSubstr("gives no value"));
  EXPECT_EQ(after("a.b=\"\""), "");
  EXPECT_EQ(after("a.b=null"), "no text");
}

TEST(ApplyOverride, RefusesMoreThanOneValue) {
  EXPECT_THAT(refusal_of("a.b=,"), HasSubstr("goes on after its end"));
  EXPECT_THAT(refusal_of("a.b=\"a\",\"b\""), HasSubstr("--set a.b"));
}

}  // namespace
}  // namespace detente::config
