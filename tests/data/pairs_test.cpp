// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/pairs.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace detente::data {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const char* const kContent =
    "s1\ts2\tscore\tbin\tclass\tlabel\n"
    "가나다\t가나라\t3.5\t1\t0\tyes\n"
    "마바\t마바\t\t0\t2\tno\n"
    "사아자차카\t사\t1.0\t\t1\t\n"
    "가\t타\t3\t1\tNA\tyes\n";

Table table(const std::string& content = kContent) {
  return Table::parse(content, "t.tsv", TableFormat::kTsv);
}

std::unique_ptr<text::Tokenizer> tokenizer(const Table& source) {
  text::TokenizerOptions options;
  options.min_count = 1;
  PairOptions columns;
  columns.text_a = "s1";
  columns.text_b = "s2";
  return text::make_tokenizer(options, training_texts(source, columns));
}

PairOptions pair_options(std::vector<TargetColumn> targets = {}) {
  PairOptions options;
  options.text_a = "s1";
  options.text_b = "s2";
  options.targets = std::move(targets);
  return options;
}

PairData load(const PairOptions& options, const std::string& content = kContent) {
  const Table source = table(content);
  return load_pairs(source, options, *tokenizer(source));
}

std::string refusal(const PairOptions& options, const std::string& content = kContent) {
  try {
    load(options, content);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kData) << error.what();
    return error.what();
  }
  return "no error";
}

const TargetColumn kScore{.task = "similarity", .column = "score"};
const TargetColumn kBin{.task = "same", .column = "bin", .kind = TaskKind::kBinary};

TEST(LoadPairs, EncodesBothSidesRowByRow) {
  const Table source = table();
  const auto tok = tokenizer(source);
  const PairData data = load_pairs(source, pair_options({kScore}), *tok);
  ASSERT_EQ(data.size(), 4U);
  EXPECT_TRUE(data.has_pairs());
  for (std::size_t i = 0; i < data.size(); ++i) {
    EXPECT_EQ(data.ids_a[i], tok->encode(data.text_a[i]));
    EXPECT_EQ(data.ids_b[i], tok->encode(data.text_b[i]));
  }
  EXPECT_EQ(data.text_b[0], "가나라");
  EXPECT_EQ(data.tokens, 3U + 3 + 2 + 2 + 5 + 1 + 1 + 1);
  EXPECT_EQ(data.unknown, 0U);
  EXPECT_THAT(data.warnings, IsEmpty());
}

TEST(LoadPairs, MasksMissingTargets) {
  const PairData data = load(pair_options({kScore, kBin}));
  const Target& score = data.target("similarity");
  EXPECT_EQ(score.values[0], 3.5);
  EXPECT_TRUE(std::isnan(score.values[1]));
  EXPECT_EQ(score.missing, 1U);
  EXPECT_EQ(data.target("same").missing, 1U);
  EXPECT_THROW(data.target("other"), Error);
}

TEST(LoadPairs, DerivesABinaryTargetFromAThreshold) {
  TargetColumn derived{
      .task = "same", .column = "score", .kind = TaskKind::kBinary, .threshold = 3.0};
  const auto values = load(pair_options({derived})).targets[0].values;
  EXPECT_EQ(values[0], 1.0);
  EXPECT_TRUE(std::isnan(values[1]));
  EXPECT_EQ(values[2], 0.0);
  EXPECT_EQ(values[3], 1.0);  // exactly on it
}

TEST(LoadPairs, ReadsClassesAsIdsOrByName) {
  const TargetColumn by_id{
      .task = "c", .column = "class", .kind = TaskKind::kClasses, .classes = 3};
  const TargetColumn by_name{
      .task = "n", .column = "label", .kind = TaskKind::kClasses, .class_names = {"no", "yes"}};
  const PairData data = load(pair_options({by_id, by_name}));
  EXPECT_EQ(data.targets[0].values[1], 2.0);
  EXPECT_TRUE(std::isnan(data.targets[0].values[3]));
  EXPECT_EQ(data.targets[1].values[0], 1.0);
  EXPECT_EQ(data.targets[1].values[1], 0.0);
  EXPECT_TRUE(std::isnan(data.targets[1].values[2]));
}

TEST(LoadPairs, CutsLongSentencesAndCountsThem) {
  PairOptions options = pair_options();
  options.max_length = 2;
  const PairData data = load(options);
  EXPECT_EQ(data.truncated, 3U);
  EXPECT_THAT(data.ids_a[2], SizeIs(2));
}

TEST(LoadPairs, TakesTheFirstRowsOnly) {
  PairOptions options = pair_options({kScore});
  options.max_rows = 1;
  const PairData data = load(options);
  EXPECT_EQ(data.size(), 1U);
  EXPECT_EQ(data.targets[0].values.size(), 1U);
  options.max_rows = 100;
  EXPECT_EQ(load(options).size(), 4U);
  EXPECT_THAT(training_texts(table(), options), SizeIs(8));
}

TEST(LoadPairs, TakesSingleSentences) {
  PairOptions options = pair_options({kScore});
  options.text_b.clear();
  const PairData data = load(options);
  EXPECT_FALSE(data.has_pairs());
  EXPECT_EQ(data.size(), 4U);
  options.lexical = true;
  EXPECT_THROW(load(options), Error);
}

TEST(LoadPairs, GivesEmptySentencesOneUnknownToken) {
  const PairData data = load(pair_options(), "s1\ts2\n가\t\n \t나\n");
  EXPECT_EQ(data.ids_b[0], std::vector<std::int32_t>{1});
  EXPECT_EQ(data.ids_a[1], std::vector<std::int32_t>{1});
  EXPECT_EQ(data.unknown, 2U);
  ASSERT_THAT(data.warnings, SizeIs(1));
  EXPECT_THAT(data.warnings[0], HasSubstr("2 of the 4 sentences"));
}

TEST(LoadPairs, FillsLexicalFeatures) {
  const Table source = table();
  const auto tok = tokenizer(source);
  PairOptions options = pair_options();
  options.lexical = true;
  PairData data = load_pairs(source, options, *tok);
  EXPECT_EQ(data.feature_names, text::lexical_feature_names());
  ASSERT_EQ(data.features.rows(), 4U);
  EXPECT_EQ(data.features(0, 0), text::bigram_jaccard("가나다", "가나라"));
  EXPECT_EQ(data.features(1, 0), 1.0);

  const auto idf = text::IdfTable::fit(data.ids_a, tok->size());
  options.idf = &idf;
  data = load_pairs(source, options, *tok);
  ASSERT_EQ(data.features.cols(), text::lexical_feature_names().size() + 2);
  EXPECT_EQ(data.feature_names.back(), "tfidf_cosine");
  EXPECT_EQ(data.features(0, data.features.cols() - 1), idf.cosine(data.ids_a[0], data.ids_b[0]));
  EXPECT_EQ(data.features(0, data.features.cols() - 2), idf.overlap(data.ids_a[0], data.ids_b[0]));
}

TEST(LoadPairs, FitsTheDocumentFrequenciesItUses) {
  const Table source = table();
  const auto tok = tokenizer(source);
  PairOptions options = pair_options();
  options.lexical = true;
  text::IdfTable fitted;
  options.fit_idf = &fitted;
  const PairData at_once = load_pairs(source, options, *tok);

  auto sentences = at_once.ids_a;
  sentences.insert(sentences.end(), at_once.ids_b.begin(), at_once.ids_b.end());
  const auto idf = text::IdfTable::fit(sentences, tok->size());
  EXPECT_EQ(fitted.values(), idf.values());
  options.fit_idf = nullptr;
  options.idf = &idf;
  const PairData in_two = load_pairs(source, options, *tok);
  EXPECT_EQ(at_once.feature_names, in_two.feature_names);
  for (std::size_t i = 0; i < in_two.features.rows(); ++i) {
    for (std::size_t j = 0; j < in_two.features.cols(); ++j) {
      EXPECT_EQ(at_once.features(i, j), in_two.features(i, j)) << i << ' ' << j;
    }
  }
  options.fit_idf = &fitted;
  EXPECT_THROW(load_pairs(source, options, *tok), Error);
}

TEST(LoadPairs, RefusesATableOfAnotherTokenizer) {
  const Table source = table();
  const auto idf = text::IdfTable::fit({}, 3);
  PairOptions options = pair_options();
  options.lexical = true;
  options.idf = &idf;
  try {
    load_pairs(source, options, *tokenizer(source));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kShape);
  }
}

TEST(LoadPairs, NamesTheTaskWithoutAnyTarget) {
  EXPECT_THAT(
      refusal(pair_options({kScore}), "s1\ts2\tscore\na\tb\t\nc\td\tNA\n"),
      AllOf(HasSubstr("task 'similarity'"), HasSubstr("column 'score'"), HasSubstr("'t.tsv'")));
}

TEST(LoadPairs, WarnsOfAConstantTarget) {
  const PairData data = load(pair_options({kScore}), "s1\ts2\tscore\na\tb\t2\nc\td\t\ne\tf\t2.0\n");
  ASSERT_THAT(data.warnings, SizeIs(1));
  EXPECT_THAT(data.warnings[0], AllOf(HasSubstr("'similarity'"), HasSubstr("is 2")));
}

TEST(LoadPairs, RefusesTargetsOfTheWrongKindWithTheLine) {
  const TargetColumn binary{.task = "b", .column = "x", .kind = TaskKind::kBinary};
  const TargetColumn classes{.task = "c", .column = "x", .kind = TaskKind::kClasses, .classes = 3};
  const TargetColumn named{
      .task = "n", .column = "x", .kind = TaskKind::kClasses, .class_names = {"neutral", "yes"}};
  const auto content = [](const std::string& cell) {
    return "s1\ts2\tx\na\tb\t1\nc\td\t" + cell + "\n";
  };
  EXPECT_THAT(
      refusal(pair_options({binary}), content("0.5")),
      AllOf(HasSubstr("line 3"), HasSubstr("0.5"), HasSubstr("task 'b'"), HasSubstr("0 or 1")));
  EXPECT_THAT(refusal(pair_options({classes}), content("1.5")), HasSubstr("whole number"));
  EXPECT_THAT(refusal(pair_options({classes}), content("-1")), HasSubstr("whole number"));
  EXPECT_THAT(refusal(pair_options({classes}), content("3")), HasSubstr("below 3"));
  EXPECT_THAT(refusal(pair_options({binary}), content("x")), HasSubstr("is no number"));
  EXPECT_THAT(refusal(pair_options({named}), "s1\ts2\tx\na\tb\tneutrl\n"),
              AllOf(HasSubstr("line 2"), HasSubstr("Did you mean 'neutral'?")));
}

TEST(LoadPairs, RefusesAMissingColumn) {
  PairOptions options = pair_options();
  options.text_b = "s3";
  EXPECT_THROW(load(options), Error);
  EXPECT_THAT(refusal(pair_options({{.task = "t", .column = "scor"}})),
              HasSubstr("Did you mean 'score'?"));
}

TEST(LoadPairs, RefusesAThresholdOnOtherTasks) {
  TargetColumn wrong = kScore;
  wrong.threshold = 3.0;
  try {
    load(pair_options({wrong}));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  }
}

class CachedPairs : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) /
              (std::string("pairs_cache_") +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    options_ = pair_options({kScore});
    options_.cache = folder_ / "deep";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path cache_file() {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(options_.cache))
      files.push_back(entry);
    EXPECT_EQ(files.size(), 1U);
    return files.at(0);
  }
  std::filesystem::path folder_;
  PairOptions options_;
};

TEST_F(CachedPairs, GiveTheSameData) {
  options_.max_length = 2;
  const PairData first = load(options_);
  const PairData second = load(options_);
  EXPECT_FALSE(first.from_cache);
  EXPECT_TRUE(second.from_cache);
  EXPECT_EQ(second.ids_a, first.ids_a);
  EXPECT_EQ(second.ids_b, first.ids_b);
  EXPECT_EQ(second.truncated, first.truncated);
  EXPECT_EQ(second.tokens, first.tokens);
}

TEST_F(CachedPairs, RebuildADamagedFile) {
  const PairData first = load(options_);
  std::string bytes = read_file(cache_file());
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  write_file_atomic(cache_file(), bytes);
  const PairData second = load(options_);
  EXPECT_FALSE(second.from_cache);
  EXPECT_EQ(second.ids_a, first.ids_a);
  EXPECT_TRUE(load(options_).from_cache);
}

TEST_F(CachedPairs, GoOnWithoutACacheThatCannotBeWritten) {
  write_file_atomic(std::filesystem::path(testing::TempDir()) / "pairs_cache_blocker", "a file");
  options_.cache = std::filesystem::path(testing::TempDir()) / "pairs_cache_blocker";
  const PairData data = load(options_);
  EXPECT_EQ(data.size(), 4U);
  ASSERT_THAT(data.warnings, SizeIs(1));
  EXPECT_THAT(data.warnings[0], HasSubstr("not cached"));
  std::filesystem::remove(options_.cache);
}

}  // namespace
}  // namespace detente::data
