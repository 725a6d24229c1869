// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/graph_source.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>

#include <cmath>
#include <functional>
#include <numeric>

namespace detente::data {
namespace {

using test::error_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Numbers = std::vector<std::int32_t>;

constexpr const char* kOneGraph =
    "5 4 3 3\n0 0 2 3 1\n1 0 0\n-1 1 1 0\n2 2 1 2\n1 1 1 1\n1 0\n1 2\n4 1\n";
constexpr const char* kManyGraphs =
    "4\n2 2\n0 1 1 1\n5 1 0 3\n1 0\n5 0 5\n3 2\n9 1 1 7\n0 2 0 2 1\n0 1 1 2\n1 0\n0 0 4\n";
constexpr const char* kSomeMolecules =
    "m1 2 1 6:0:3:0 8:0:1:0 0-1-1\nm2 1 0 7:1:4:0\nm3 3 2 6:0:1:0 6:0:0:0 53:0:0:0 0-1-3 1-2-1\n";

class GraphSourceTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& content) {
    write_file_atomic(folder_.path() / name, content);
    return (folder_.path() / name).string();
  }
  static void set(GraphSource& source, const std::string& name, const std::string& value) {
    set_field([&](FieldVisitor& v) { source.describe(v); }, name, value, "test");
  }
  static Numbers numbers(const Batch& batch, const char* name) {
    return std::get<Numbers>(array_of(batch, name).values);
  }
  static std::vector<float> floats(const Batch& batch, const char* name) {
    return std::get<std::vector<float>>(array_of(batch, name).values);
  }
  // The features as a matrix.
  static std::vector<float> dense(const Batch& batch, std::size_t width) {
    std::vector<float> x(numbers(batch, "degree").size() * width);
    const Numbers nodes = numbers(batch, "feature_node");
    const Numbers features = numbers(batch, "feature");
    const auto values = floats(batch, "feature_value");
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      x.at(static_cast<std::size_t>(nodes[i]) * width + static_cast<std::size_t>(features[i])) =
          values[i];
    }
    return x;
  }
  SourceInput input(const std::string& content, std::vector<TargetColumn> targets = {}) {
    SourceInput input;
    input.files.train = write("g.txt", content);
    input.targets = std::move(targets);
    return input;
  }
  static TargetColumn label(std::int64_t classes) {
    return {.task = "kind", .column = "label", .kind = TaskKind::kClasses, .classes = classes};
  }

  test::TempDir folder_;
};

TEST_F(GraphSourceTest, TheFileSaysWhichNodesAreWhich) {
  GraphSource train;
  SourceInput in = input(kOneGraph, {label(3), {.task = "degree", .column = "degree"}});
  train.read(in, nullptr);
  ASSERT_EQ(train.size(), 2U);
  EXPECT_TRUE(train.nodes());
  EXPECT_EQ(train.feature_count(), 4U);
  EXPECT_THAT(train.target("kind").values, ElementsAre(0, 1));
  EXPECT_THAT(train.target("degree").values, ElementsAre(1, 3));
  GraphSource dev;
  in.part = Part::kDev;
  dev.read(in, &train);
  ASSERT_EQ(dev.size(), 2U);
  EXPECT_TRUE(std::isnan(dev.target("kind").values[0])) << "label -1";
  EXPECT_EQ(dev.target("kind").values[1], 1);
  in.part = Part::kTest;
  dev.read(in, &train);
  ASSERT_EQ(dev.size(), 1U);
  EXPECT_EQ(dev.shown()[0].cells, std::vector<std::string>{"3"});
}

TEST_F(GraphSourceTest, ABatchOfNodesHasTheWholeGraph) {
  GraphSource source;
  source.read(input(kOneGraph), nullptr);
  const Batch batch = source.batch(RowList{1, 0}, nullptr);
  EXPECT_THAT(numbers(batch, "asked"), ElementsAre(1, 0));
  EXPECT_THAT(numbers(batch, "degree"), ElementsAre(1, 3, 1, 0, 1));
  EXPECT_THAT(numbers(batch, "from"), ElementsAre(0, 1, 1, 1, 2, 4));
  EXPECT_THAT(numbers(batch, "to"), ElementsAre(1, 0, 2, 4, 1, 1));
  EXPECT_THAT(dense(batch, 4),
              ElementsAre(0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0));
  EXPECT_EQ(find_array(batch, "sizes"), nullptr);
  set(source, "scale_rows", "true");
  source.read(input(kOneGraph), nullptr);
  EXPECT_EQ(dense(source.batch(RowList{0}, nullptr), 4)[1], 0.5F);
}

TEST_F(GraphSourceTest, SharesAndOtherFilesReplaceTheFilesOwnParts) {
  GraphSource source;
  SourceInput in = input(kOneGraph);
  in.files.split.dev = 0.4;
  source.read(in, nullptr);
  EXPECT_EQ(source.size(), 3U);
  in.files.split.dev = 0;
  in.files.dev = write("other.txt", kOneGraph);
  in.part = Part::kDev;
  const auto dev = source.fresh();
  dev->read(in, &source);
  EXPECT_EQ(dev->size(), 5U) << "a file of its own counts whole";
  in.part = Part::kTrain;
  in.files.max_rows = 1;
  source.read(in, nullptr);
  EXPECT_EQ(source.size(), 1U);
  in = input("1 1 1 0\n0 3 0\n");
  EXPECT_THAT(error_of([&] { source.read(in, nullptr); }).what(), HasSubstr("no train nodes"));
}

TEST_F(GraphSourceTest, ABatchOfGraphsIsTheirUnion) {
  GraphSource source;
  source.read(input(kManyGraphs,
                    {{.task = "two",
                      .column = "label",
                      .kind = TaskKind::kClasses,
                      .classes = 2,
                      .class_names = {"0", "2"}},
                     {.task = "nodes", .column = "nodes"},
                     {.task = "mean", .column = "mean_degree"}}),
              nullptr);
  EXPECT_FALSE(source.nodes());
  EXPECT_THAT(source.target("two").values, ElementsAre(1, 0, 1, 0));
  EXPECT_THAT(source.target("nodes").values, ElementsAre(2, 1, 3, 1));
  EXPECT_THAT(source.target("mean").values, ElementsAre(1, 0, 4.0 / 3, 0));
  EXPECT_THAT(source.costs(), ElementsAre(1, 1, 1, 1));
  ASSERT_EQ(source.feature_count(), 5U) << "unknown, three tags, one attribute";
  const Batch batch = source.batch(RowList{2, 0}, nullptr);
  EXPECT_THAT(numbers(batch, "sizes"), ElementsAre(3, 2));
  EXPECT_THAT(numbers(batch, "graph_of"), ElementsAre(0, 0, 0, 1, 1));
  EXPECT_THAT(numbers(batch, "degree"), ElementsAre(1, 2, 1, 1, 1));
  EXPECT_THAT(numbers(batch, "from"), ElementsAre(0, 1, 1, 2, 3, 4));
  EXPECT_THAT(numbers(batch, "to"), ElementsAre(1, 0, 2, 1, 4, 3));
  const auto x = dense(batch, 5);
  const double values[] = {1, 3, 5, 7, 1, 2, 4};
  const double mean = std::accumulate(values, values + 7, 0.0) / 7;
  double variance = 0;
  for (const double value : values) variance += (value - mean) * (value - mean) / 7;
  EXPECT_EQ(x[3], 1) << "tag 9 is the third of 0, 5, 9";
  EXPECT_NEAR(x[4], (7 - mean) / std::sqrt(variance), 1e-6);
  EXPECT_EQ(x[6], 1) << "tag 0";
  const Batch alone = source.batch(RowList{0}, nullptr);
  EXPECT_EQ(dense(alone, 5), std::vector<float>(x.end() - 10, x.end()));
}

TEST_F(GraphSourceTest, NodesMayKnowTheSizeOfTheirGraph) {
  GraphSource source;
  set(source, "size", "true");
  source.read(input(kManyGraphs), nullptr);
  ASSERT_EQ(source.feature_count(), 6U);
  // 2, 1, 3 and 1 nodes: mean 1.75, variance 11 / 16.
  const auto x = dense(source.batch(RowList{2, 1}, nullptr), 6);
  for (const std::size_t node : {0U, 1U, 2U}) {
    EXPECT_NEAR(x[6 * node + 5], 1.25 / std::sqrt(11.0 / 16), 1e-6);
  }
  EXPECT_NEAR(x[6 * 3 + 5], -0.75 / std::sqrt(11.0 / 16), 1e-6);
}

TEST_F(GraphSourceTest, NeighboursTakeThePlaceOfTheWholeGraph) {
  GraphSource source;
  set(source, "neighbours", "1");
  source.set_hops(1);
  SourceInput in = input(kOneGraph);
  source.read(in, nullptr);
  ASSERT_EQ(source.size(), 2U);  // nodes 0 and 1
  const Batch all = source.batch(RowList{1, 0}, nullptr);
  EXPECT_THAT(numbers(all, "asked"), ElementsAre(0, 1));
  EXPECT_THAT(numbers(all, "degree"), ElementsAre(3, 1, 1, 1));
  EXPECT_EQ(numbers(all, "from").size(), 4U);
  const Rng rng(1);
  const Batch drawn = source.batch(RowList{1}, &rng);
  EXPECT_EQ(numbers(drawn, "from").size(), 1U);
  EXPECT_THAT(floats(drawn, "edge_weight"), ElementsAre(3.0F));
  EXPECT_EQ(source.fresh()->kind(), std::string("graph"));
  EXPECT_NE(source.digest(), "");
}

TEST_F(GraphSourceTest, PairsOfNodesAreRowsOfATable) {
  GraphSource source;
  set(source, "graph", write("graph.txt", kOneGraph));
  SourceInput in;
  in.files.train = write("pairs.csv", "node,other,link\n1,0,1\n3, 2 ,0\n1,1,\n");
  in.targets = {{.task = "link", .column = "link", .kind = TaskKind::kBinary}};
  source.read(in, nullptr);
  EXPECT_TRUE(source.warnings().empty());
  ASSERT_EQ(source.size(), 3U);
  EXPECT_TRUE(source.pairs());
  EXPECT_FALSE(source.own_parts());
  EXPECT_EQ(source.feature_count(), 4U);
  EXPECT_EQ(source.target("link").missing, 1U);
  const Batch whole = source.batch(RowList{1, 0}, nullptr);
  EXPECT_THAT(numbers(whole, "asked"), ElementsAre(3, 1));
  EXPECT_THAT(numbers(whole, "asked_other"), ElementsAre(2, 0));
  EXPECT_EQ(numbers(whole, "degree").size(), 5U);
  set(source, "neighbours", "2");
  const auto near = source.fresh();
  in.part = Part::kDev;
  in.files.dev = in.files.train;
  near->read(in, &source);
  const Batch around = near->batch(RowList{1, 0}, nullptr);
  EXPECT_THAT(numbers(around, "asked"), ElementsAre(0, 1));
  EXPECT_THAT(numbers(around, "asked_other"), ElementsAre(2, 3));
  EXPECT_EQ(near->place(1).line, 3U);
  for (const char* wrong : {"1,5", "1,-1", "1,x", ",1", "1,0.5", "1,99999999999999999999"}) {
    in.files.dev = write("pairs.csv", std::string("node,other,link\n1,0,1\n") + wrong + ",1\n");
    EXPECT_THAT(error_of([&] { near->read(in, &source); }).what(),
                ::testing::AllOf(HasSubstr("line 3 of"), HasSubstr("from 0 to 4")));
  }
  in.files.dev = write("pairs.csv", "node,to\n1,0\n");
  EXPECT_THAT(error_of([&] { near->read(in, &source); }).what(), HasSubstr("no column 'other'"));
  // The development rows ask for edges that the graph has.
  in.files.dev = write("pairs.csv", "node,other,link\n1,0,1\n3,2,0\n1,4,1\n");
  near->read(in, &source);
  ASSERT_EQ(near->warnings().size(), 1U);
  EXPECT_THAT(near->warnings()[0], HasSubstr("exactly which pairs are edges"));
  in.files.dev = write("pairs.csv", "node,other,link\n1,0,1\n3,2,0\n1,4,0\n");
  near->read(in, &source);
  EXPECT_TRUE(near->warnings().empty());
  set(source, "targets", "x.csv");
  EXPECT_THAT(error_of([&] { source.read(in, nullptr); }).what(), HasSubstr("do not go with it"));
  set(source, "targets", "");
  set(source, "graph", write("graph.txt", kManyGraphs));
  in.part = Part::kTrain;
  EXPECT_THAT(error_of([&] { source.read(in, nullptr); }).what(), HasSubstr("form graphs"));
}

TEST_F(GraphSourceTest, UnknownTagsShareAFeature) {
  GraphSource train;
  SourceInput in = input(kManyGraphs);
  train.read(in, nullptr);
  in.files.dev = write("dev.txt", "1\n2 0\n77 1 1 1\n-5 1 0 1e300\n");
  in.part = Part::kDev;
  GraphSource dev;
  dev.read(in, &train);
  const auto x = dense(dev.batch(RowList{0}, nullptr), 5);
  EXPECT_EQ(x[0], 1);
  EXPECT_EQ(x[5], 1);
  EXPECT_EQ(x[9], 1e6F) << "within a million deviations";
  in.files.dev = write("dev.txt", "1\n1 0\n77 0\n");
  EXPECT_THAT(error_of([&] { dev.read(in, &train); }).what(), HasSubstr("0 attributes"));
  in.files.dev = write("dev.txt", kOneGraph);
  EXPECT_THAT(error_of([&] { dev.read(in, &train); }).what(), HasSubstr("form nodes"));
}

TEST_F(GraphSourceTest, MoleculesHaveTargetsInATable) {
  GraphSource source;
  set(source, "targets", write("t.csv", "mol_id,target:A,B\nm1,0.5,1\nm2,,0\nm3,-1,\n"));
  SourceInput in = input(kSomeMolecules,
                         {{.task = "a", .column = "target:A"},
                          {.task = "b", .column = "B", .kind = TaskKind::kBinary},
                          {.task = "bonds", .column = "edges"}});
  source.read(in, nullptr);
  EXPECT_EQ(source.target("a").values[2], -1);
  EXPECT_TRUE(std::isnan(source.target("a").values[1]));
  EXPECT_EQ(source.target("b").missing, 1U);
  EXPECT_THAT(source.target("bonds").values, ElementsAre(1, 0, 2));
  // Elements 6 7 8 53, charges 0 1, hydrogens 0 1 3 4, aromatic 0; each with one for the others.
  ASSERT_EQ(source.feature_count(), 5U + 3 + 5 + 2 + 4);
  const auto x = dense(source.batch(RowList{2}, nullptr), 19);
  EXPECT_EQ(std::vector<float>(x.begin() + 19 + 15, x.begin() + 38),
            (std::vector<float>{1, 0, 1, 0}))
      << "the middle atom's bonds";
  EXPECT_THAT(source.shown()[0].cells, ElementsAre("m1", "m2", "m3"));
  // Rows of the table go with rows of the file.
  in.files.split.dev = 0.34;
  in.part = Part::kDev;
  GraphSource dev;
  set(dev, "targets", (folder_.path() / "t.csv").string());
  in.targets.resize(1);
  for (int seed = 0; seed < 8; ++seed) {
    in.files.split.seed = seed;
    try {
      dev.read(in, &source);
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("no target")) << "m2 alone";
      continue;
    }
    EXPECT_EQ(dev.target("a").values[0], dev.shown()[0].cells[0] == "m1" ? 0.5 : -1);
  }
}

TEST_F(GraphSourceTest, SaysWhatDoesNotFitTheTable) {
  GraphSource source;
  const SourceInput in = input(kSomeMolecules, {{.task = "a", .column = "A"}});
  const auto message = [&] {
    return std::string(error_of([&] { source.read(in, nullptr); }).what());
  };
  EXPECT_THAT(message(), HasSubstr("'A'")) << "no table at all";
  set(source, "targets", write("t.csv", "mol_id,A\nm1,1\nm2,2\n"));
  EXPECT_THAT(message(), HasSubstr("2 rows of targets"));
  write("t.csv", "mol_id,A\nm1,1\nm3,2\nm2,2\n");
  EXPECT_THAT(message(), HasSubstr("line 3 of"));
  write("t.csv", "mol_id,B\nm1,1\nm2,2\nm3,2\n");
  EXPECT_THAT(message(), HasSubstr("'A'"));
  write("t.csv", "A\n1\n2\nx\n");
  EXPECT_THAT(message(), HasSubstr("line 4"));
  set(source, "targets", (folder_.path() / "none.csv").string());
  EXPECT_EQ(error_of([&] { source.read(in, nullptr); }).code(), ErrorCode::kIo);
}

TEST_F(GraphSourceTest, MessagesNameTheFilesLine) {
  GraphSource source;
  EXPECT_THAT(error_of([&] { source.read(input(kOneGraph, {label(1)}), nullptr); }).what(),
              HasSubstr("line 3 of"));
  EXPECT_THAT(error_of([&] { source.read(input(kManyGraphs, {label(2)}), nullptr); }).what(),
              HasSubstr("line 2 of"));
}

TEST_F(GraphSourceTest, GraphsNeedANamedDevPart) {
  GraphSource train;
  SourceInput in = input(kManyGraphs);
  train.read(in, nullptr);
  in.part = Part::kDev;
  GraphSource dev;
  EXPECT_THAT(error_of([&] { dev.read(in, &train); }).what(), HasSubstr("data.split.dev"));
}

TEST_F(GraphSourceTest, ReloadedFitIsTheSame) {
  for (const char* content : {kOneGraph, kManyGraphs, kSomeMolecules}) {
    GraphSource train;
    SourceInput in = input(content);
    train.read(in, nullptr);
    train.save(folder_.path());
    GraphSource loaded;
    loaded.load(folder_.path());
    EXPECT_EQ(loaded.feature_count(), train.feature_count());
    GraphSource again;
    again.read(in, &loaded);
    const RowList rows = {0, 1};
    const Batch a = train.batch(rows, nullptr);
    const Batch b = again.batch(rows, nullptr);
    for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].values, b[i].values) << a[i].name;
    EXPECT_EQ(train.digest(), again.digest());
    const std::string was = read_file(folder_.path() / "graphs.json");
    loaded.save(folder_.path());
    EXPECT_EQ(read_file(folder_.path() / "graphs.json"), was);
    for (const std::string& other : {std::string("{}"),
                                     was.substr(0, was.size() / 2),
                                     std::string("{\"format\": 3}"),
                                     std::string()}) {
      write("graphs.json", other);
      EXPECT_EQ(error_of([&] { loaded.load(folder_.path()); }).code(), ErrorCode::kData) << other;
    }
  }
}

TEST_F(GraphSourceTest, TheDigestSeesEdgesFeaturesAndTargets) {
  const auto digest = [&](const std::string& content) {
    GraphSource source;
    source.read(input(content, {label(3)}), nullptr);
    return source.digest();
  };
  const std::string was = kOneGraph;
  std::string edge = was;
  edge.replace(edge.find("4 1\n"), 4, "4 3\n");
  std::string feature = was;
  feature.replace(feature.find("2 3 1"), 5, "2 3 0");
  std::string target = was;
  target.replace(target.find("\n0 0 2"), 6, "\n2 0 2");
  EXPECT_EQ(digest(was), digest(was));
  for (const std::string& other : {edge, feature, target}) EXPECT_NE(digest(other), digest(was));
}

}  // namespace
}  // namespace detente::data
