// SPDX-License-Identifier: Apache-2.0
#include <detente/config/tree.h>
#include <detente/core/error.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace detente::config {
namespace {

using ::testing::HasSubstr;

struct Task {
  std::string name;
  double weight = 1;
  void describe(FieldVisitor& v) {
    v.text("name", name, "Name.");
    v.number("weight", weight, {.min = 0}, "Weight.");
  }
};

struct Sample {
  std::int64_t seed = 0;
  std::string method = "ew";
  double rate = 0.1;
  bool quiet = false;
  std::vector<std::string> metrics;
  std::vector<std::string> words;
  std::vector<double> betas = {0.9, 0.999};
  std::vector<Task> tasks;

  void describe(FieldVisitor& v) {
    v.integer("seed", seed, {.min = 0}, "Seed.");
    v.section("balance", "Balance.", [&](FieldVisitor& s) {
      s.choice_text("method", method, {"ew", "cagrad"}, "Method.");
      s.number("rate", rate, {.min = 0, .max = 1, .min_open = true}, "Rate.");
    });
    v.flag("quiet", quiet, "Quiet.");
    v.texts("metrics", metrics, {"mae", "pearson"}, "Metrics.");
    v.texts("words", words, {}, "Any words.");
    v.numbers("betas", betas, {.min = 0, .max = 1}, "Betas.");
    v.sections(
        "tasks",
        tasks.size(),
        [&](std::size_t n) { tasks.resize(n); },
        [&](std::size_t i, FieldVisitor& s) { tasks[i].describe(s); },
        "Tasks.");
  }
};

Describe describe(Sample& sample) {
  return [&sample](FieldVisitor& v) { sample.describe(v); };
}

Sample read(const std::string& text, const std::vector<std::string>& overrides = {}) {
  Node root = parse_yaml(text, "r.yaml");
  for (const auto& assignment : overrides) apply_override(root, assignment);
  Sample sample;
  read_fields(root, describe(sample));
  return sample;
}

std::string error_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    read(text, overrides);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "no error";
}

TEST(Tree, ReadsEveryTypeAndKeepsDefaults) {
  const Sample s = read(
      "seed: 7\nbalance: {method: cagrad, rate: 5e-1}\nquiet: true\nmetrics: [mae]\n"
      "tasks:\n  - name: a\n  - {name: b, weight: 2}\n");
  EXPECT_EQ(s.seed, 7);
  EXPECT_EQ(s.method, "cagrad");
  EXPECT_EQ(s.rate, 0.5);
  EXPECT_TRUE(s.quiet);
  EXPECT_THAT(s.metrics, ::testing::ElementsAre("mae"));
  EXPECT_THAT(s.betas, ::testing::ElementsAre(0.9, 0.999));
  ASSERT_EQ(s.tasks.size(), 2U);
  EXPECT_EQ(s.tasks[0].weight, 1);
  EXPECT_EQ(s.tasks[1].weight, 2);
}

TEST(Tree, NamesLineAndNearestKeyOfAnUnknownKey) {
  const std::string message = error_of("seed: 1\nbalance:\n  metod: ew\n");
  EXPECT_THAT(message, HasSubstr("r.yaml:3"));
  EXPECT_THAT(message, HasSubstr("unknown key 'metod' in 'balance'"));
  EXPECT_THAT(message, HasSubstr("Did you mean 'method'?"));
}

TEST(Tree, RefusesWrongTypesAndImpossibleValues) {
  EXPECT_THAT(error_of("seed: x\n"), HasSubstr("r.yaml:1: 'seed' must be a whole number; got 'x'"));
  EXPECT_THAT(error_of("seed: 1.5\n"), HasSubstr("whole number"));
  EXPECT_THAT(error_of("seed: -1\n"), HasSubstr("must be >= 0; got -1"));
  EXPECT_THAT(error_of("balance: {rate: 0}\n"), HasSubstr("must be in (0, 1]; got 0"));
  EXPECT_THAT(error_of("balance: {rate: nan}\n"), HasSubstr("must be in (0, 1]"));
  EXPECT_THAT(error_of("balance: {method: cagrda}\n"), HasSubstr("Did you mean 'cagrad'?"));
  EXPECT_THAT(error_of("quiet: maybe\n"), HasSubstr("true or false"));
  EXPECT_THAT(error_of("seed: [1]\n"), HasSubstr("must be a single value; got a list"));
  EXPECT_THAT(error_of("metrics: mae\n"), HasSubstr("must be a list"));
  EXPECT_THAT(error_of("metrics: [mea]\n"), HasSubstr("Did you mean 'mae'?"));
  EXPECT_THAT(error_of("balance: 3\n"), HasSubstr("must be a section"));
  EXPECT_THAT(error_of("tasks: {a: 1}\n"), HasSubstr("must be a list"));
}

TEST(Tree, RefusesBrokenFiles) {
  EXPECT_THAT(error_of(""), HasSubstr("is empty"));
  EXPECT_THAT(error_of("seed: 1\n---\nseed: 2\n"), HasSubstr("expected one document"));
  EXPECT_THAT(error_of("- 1\n- 2\n"), HasSubstr("top level"));
  EXPECT_THAT(error_of("seed: 1\nseed: 2\n"), HasSubstr("r.yaml:2: the key 'seed' is given twice"));
  EXPECT_THAT(error_of("seed: [1\n"), HasSubstr("not valid YAML"));
  EXPECT_THAT(error_of("balance: &x\n  inner: *x\n"), HasSubstr("cycle"));
}

TEST(Tree, RefusesAliasesThatMultiply) {
  std::string text = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n";
  for (int i = 1; i < 8; ++i) {
    const std::string below = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + below;
    for (int j = 0; j < 9; ++j) text += "," + below;
    text += "]\n";
  }
  EXPECT_THAT(error_of(text), HasSubstr("aliases multiply"));
}

TEST(Tree, AppliesOverrides) {
  const std::string text = "tasks: [{name: a}, {name: b}]\n";
  const Sample s = read(text,
                        {"balance.method=cagrad",
                         "tasks.b.weight=3",
                         "tasks.0.weight=2",
                         "metrics=[mae, pearson]",
                         "seed=5"});
  EXPECT_EQ(s.method, "cagrad");
  EXPECT_EQ(s.tasks[0].weight, 2);
  EXPECT_EQ(s.tasks[1].weight, 3);
  EXPECT_EQ(s.metrics.size(), 2U);
  EXPECT_EQ(s.seed, 5);
  EXPECT_THAT(error_of(text, {"seed"}), HasSubstr("not an assignment"));
  EXPECT_THAT(
      error_of(text, {"tasks.c.weight=1"}),
      HasSubstr("--set tasks.c.weight: 'tasks' has no element 'c'; expected one of: a, b."));
  EXPECT_THAT(error_of(text, {"balance.methd=ew"}), HasSubstr("--set balance.methd: unknown key"));
  EXPECT_THAT(error_of("seed: 1\n", {"seed.x=1"}), HasSubstr("below a single value"));
}

TEST(Tree, NamesTheElementsOfAListWhereOneIsUnknown) {
  const std::string text = "tasks: [{name: score}, {name: same}]\n";
  EXPECT_THAT(error_of(text, {"tasks.scroe.weight=1"}),
              HasSubstr("expected one of: score, same. Did you mean 'score'?"));
  EXPECT_THAT(error_of(text, {"tasks.2.weight=1"}), HasSubstr("expected one of: score, same."));
  EXPECT_THAT(error_of("tasks: []\n", {"tasks.a.weight=1"}), HasSubstr("the list is empty"));
  EXPECT_THAT(error_of("betas: [0]\n", {"betas.x=1"}), HasSubstr("has the index 0"));
  EXPECT_THAT(error_of("betas: [0, 1]\n", {"betas.2=1"}),
              HasSubstr("'betas' has no element '2'; expected an index from 0 to 1."));
}

TEST(Tree, SaysWhichEntryOfAListYamlReadsAsNothing) {
  for (const char* word : {"NULL", "null", "Null", "~", ""}) {
    const std::string list = std::string("words:\n  - a\n  - ") + word + "\n  - b\n";
    EXPECT_THAT(error_of(list), HasSubstr("'words[1]' is nothing"));
    EXPECT_THAT(error_of(list), HasSubstr("quote it"));
  }
  EXPECT_THAT(error_of("words: [a, NULL]\n"), HasSubstr("r.yaml:1: 'words[1]' is nothing"));
  EXPECT_THAT(error_of("seed: 1\n", {"words=[~]"}), HasSubstr("'words[0]' is nothing"));
  EXPECT_THAT(error_of("betas: [0, ~]\n"), HasSubstr("'betas[1]' is nothing"));
  EXPECT_THAT(error_of("words: [a, b: c]\n"),
              HasSubstr("'words[1]' must be a single value; got a section. Quote"));
  EXPECT_THAT(error_of("words: [a, [b]]\n"), HasSubstr("got a list"));
}

TEST(Tree, TakesEveryOtherWordAsItIsWritten) {
  EXPECT_THAT(read("words: [yes, No, TRUE, off, y, 1.0, 0x1F, 007, .nan, 'NULL', \"~\"]\n").words,
              ::testing::ElementsAre(
                  "yes", "No", "TRUE", "off", "y", "1.0", "0x1F", "007", ".nan", "NULL", "~"));
}

TEST(Tree, QuotesWordsThatYamlReadsAsSomethingElse) {
  for (const char* word : {"null", "NULL", "Null", "~", "Yes", "NO", "True", "oFF"}) {
    Sample s = read("tasks: [{name: \"" + std::string(word) + "\"}]\n");
    EXPECT_EQ(read(to_yaml(describe(s))).tasks.at(0).name, word);
  }
}

TEST(Tree, WritesYamlThatReadsBack) {
  Sample s = read("seed: 3\nmetrics: [mae]\ntasks: [{name: 'a: b'}, {name: '7', weight: 1e-8}]\n");
  s.rate = 1.0 / 3.0;
  const std::string text = to_yaml(describe(s));
  Sample again = read(text);
  EXPECT_EQ(to_yaml(describe(again)), text);
  EXPECT_EQ(again.rate, s.rate);
  EXPECT_EQ(again.tasks[0].name, "a: b");
  EXPECT_EQ(again.tasks[1].weight, 1e-8);
}

TEST(Tree, DocumentsEveryField) {
  Sample s;
  const std::string text = fields_markdown(describe(s));
  EXPECT_THAT(text, HasSubstr("### `balance`"));
  EXPECT_THAT(text, HasSubstr("| `balance.rate` | number | `0.1` | in (0, 1] | Rate. |"));
  EXPECT_THAT(text, HasSubstr("`tasks[].weight`"));
}

}  // namespace
}  // namespace detente::config
