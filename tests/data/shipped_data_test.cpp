// SPDX-License-Identifier: Apache-2.0
// The data sets in data/ are what their README files say, down to the untrained lexical score.
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <detente/data/graph_file.h>
#include <detente/data/graph_links.h>
#include <detente/data/image_source.h>
#include <detente/data/pairs.h>
#include <detente/data/table.h>
#include <detente/metrics/metrics.h>
#include <detente/text/lexical.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace detente::data {
namespace {

Table shipped(const std::string& name) { return Table::read(DETENTE_SOURCE_DIR "/data/" + name); }

struct Floor {
  double pearson;
  double spearman;
};

Floor lexical_floor(const Table& table, const std::string& target) {
  const auto a = table.text_column("sentence1");
  const auto b = table.text_column("sentence2");
  std::vector<double> scores;
  for (std::size_t i = 0; i < table.rows(); ++i) scores.push_back(text::bigram_jaccard(a[i], b[i]));
  const auto targets = table.numeric_column(target);
  return {metrics::pearson(scores, targets).value, metrics::spearman(scores, targets).value};
}

TEST(ShippedData, KlueStsHasItsRowsAndRules) {
  const Table train = shipped("klue_sts/train.tsv.gz");
  const Table dev = shipped("klue_sts/dev.tsv.gz");
  EXPECT_EQ(train.rows(), 11668U);
  EXPECT_EQ(dev.rows(), 519U);
  for (const Table* table : {&train, &dev}) {
    const auto real = table->numeric_column("real_label");
    const auto binary = table->numeric_column("binary_label");
    for (std::size_t i = 0; i < table->rows(); ++i) {
      ASSERT_TRUE(real[i] >= 0.0 && real[i] <= 5.0);
      ASSERT_EQ(binary[i], real[i] >= 3.0 ? 1.0 : 0.0) << "line " << table->line(i);
    }
  }
}

TEST(ShippedData, KorStsHasItsRows) {
  const Table train = shipped("kor_sts/train.tsv.gz");
  EXPECT_EQ(train.rows(), 5749U);
  const Table dev = shipped("kor_sts/dev.tsv.gz");
  EXPECT_EQ(dev.rows(), 1500U);
  double positive = 0;
  for (const double score : dev.numeric_column("score")) positive += score >= 3.0 ? 1 : 0;
  EXPECT_EQ(positive, 629);
}

TEST(ShippedData, FashionMnistIsStratified) {
  ImageSource source;
  set_field([&](FieldVisitor& v) { source.describe(v); },
            "class_file",
            DETENTE_SOURCE_DIR "/data/fashion_mnist/classes.csv",
            "test");
  SourceInput input;
  input.targets = {{.task = "label", .column = "label", .kind = TaskKind::kClasses, .classes = 10},
                   {.task = "group",
                    .column = "group",
                    .kind = TaskKind::kClasses,
                    .classes = 5,
                    .class_names = {"top", "bottom", "dress", "shoe", "bag"}}};
  for (const auto& [name, of_each] : {std::pair{"train", 240}, std::pair{"t10k", 100}}) {
    input.files.train =
        std::string(DETENTE_SOURCE_DIR "/data/fashion_mnist/") + name + "-images-idx3-ubyte.gz";
    source.read(input, nullptr);
    EXPECT_EQ(source.shape(), (ImageShape{28, 28, 1}));
    std::vector<int> labels(10);
    std::vector<int> groups(5);
    for (const double id : source.target("label").values) ++labels.at(static_cast<std::size_t>(id));
    for (const double id : source.target("group").values) ++groups.at(static_cast<std::size_t>(id));
    EXPECT_EQ(labels, std::vector<int>(10, of_each));
    EXPECT_EQ(groups, (std::vector<int>{4 * of_each, of_each, of_each, 3 * of_each, of_each}));
  }
}

TEST(ShippedData, DigitsAreAllThere) {
  ImageSource source;
  SourceInput input;
  input.targets = {{.task = "label", .column = "label", .kind = TaskKind::kClasses, .classes = 10}};
  input.files.train = DETENTE_SOURCE_DIR "/data/digits/digits-images-idx3-ubyte.gz";
  source.read(input, nullptr);
  EXPECT_EQ(source.shape(), (ImageShape{8, 8, 1}));
  std::vector<int> labels(10);
  for (const double id : source.target("label").values) ++labels.at(static_cast<std::size_t>(id));
  EXPECT_EQ(labels, (std::vector<int>{178, 182, 177, 183, 181, 182, 181, 179, 174, 180}));
}

TEST(ShippedData, TablesHaveTheirRowsAndMissingCells) {
  const auto missing = [](const Table& table, const std::string& column) {
    const auto cells = table.text_column(column);
    return std::count_if(cells.begin(), cells.end(), is_missing);
  };
  const Table adult = shipped("adult/train.csv.gz");
  EXPECT_EQ(adult.rows(), 32561U);
  EXPECT_EQ(shipped("adult/test.csv.gz").rows(), 16281U);
  EXPECT_EQ(missing(adult, "workclass"), 1836);
  const auto never = adult.numeric_column("target:never_married");
  const auto status = adult.text_column("target:marital_status");
  for (std::size_t i = 0; i < adult.rows(); ++i) {
    ASSERT_EQ(never[i] == 1, status[i] == "Never-married") << "line " << adult.line(i);
  }
  const Table seoul = shipped("seoul/summers.csv.gz");
  EXPECT_EQ(seoul.rows(), 7750U);
  EXPECT_EQ(missing(seoul, "target:Next_Tmax"), 27);
  const Table parkinsons = shipped("parkinsons/visits.csv.gz");
  EXPECT_EQ(parkinsons.rows(), 5875U);
  const auto people = parkinsons.text_column("subject#");
  EXPECT_EQ(std::set<std::string_view>(people.begin(), people.end()).size(), 42U);
}

TEST(ShippedData, CoraHasItsNodesAndParts) {
  const GraphFile cora = read_graph_file(DETENTE_SOURCE_DIR "/data/cora/cora.txt.gz");
  EXPECT_EQ(cora.form, GraphForm::kNodes);
  EXPECT_EQ(cora.nodes(), 2708U);
  EXPECT_EQ(cora.neighbours.size(), 2U * 5278);
  EXPECT_EQ(cora.feature_count, 1433);
  std::vector<int> parts(4);
  std::vector<int> training(7);
  for (std::size_t i = 0; i < cora.nodes(); ++i) {
    ++parts.at(static_cast<std::size_t>(cora.splits[i]));
    if (cora.splits[i] == 0) ++training.at(static_cast<std::size_t>(cora.labels[i]));
  }
  EXPECT_EQ(parts, (std::vector<int>{140, 500, 1000, 1068}));
  EXPECT_EQ(training, std::vector<int>(7, 20));
}

TEST(ShippedData, CorasLinksAreThoseTheCommandMakes) {
  const std::string folder = DETENTE_SOURCE_DIR "/data/cora/";
  const LinkFiles made = hold_out_links(read_graph_file(folder + "cora.txt.gz"), {});
  EXPECT_EQ(read_file(folder + "links/graph.txt.gz"), made.graph);
  EXPECT_EQ(read_file(folder + "links/pairs.csv.gz"), made.pairs);
}

TEST(ShippedData, HasTheLexicalFloorAnIndependentProgramFinds) {
  const Json golden =
      Json::parse(read_file(DETENTE_SOURCE_DIR "/tests/golden/text/lexical_floor.json"));
  ASSERT_EQ(golden.at("entries").size(), 4U);
  for (const auto& entry : golden.at("entries")) {
    const Table table = shipped(entry.at("file").get<std::string>());
    const Floor floor = lexical_floor(table, entry.at("target").get<std::string>());
    EXPECT_EQ(table.rows(), entry.at("rows").get<std::size_t>());
    EXPECT_NEAR(floor.pearson, entry.at("pearson").get<double>(), 1e-12) << entry.at("file");
    EXPECT_NEAR(floor.spearman, entry.at("spearman").get<double>(), 1e-12) << entry.at("file");
  }
}

TEST(ShippedData, LoadsIntoTwoTasksFromOneColumn) {
  const Table table = shipped("kor_sts/dev.tsv.gz");
  PairOptions options;
  options.text_b = "sentence2";
  options.targets = {
      {.task = "similarity", .column = "score"},
      {.task = "same", .column = "score", .kind = TaskKind::kBinary, .threshold = 3.0}};
  const auto tokenizer = text::make_tokenizer({}, training_texts(table, options));
  const PairData data = load_pairs(table, options, *tokenizer);
  EXPECT_EQ(data.size(), 1500U);
  EXPECT_TRUE(data.warnings.empty());
  EXPECT_LT(static_cast<double>(data.unknown), 0.02 * static_cast<double>(data.tokens));
}

}  // namespace
}  // namespace detente::data
