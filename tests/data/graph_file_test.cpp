// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/data/graph_file.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>

#include <string>

namespace detente::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A path 0-1-2 and a node alone.
constexpr const char* kOne =
    "4 5 2 2\n"
    "0 0 2 4 1\n"
    "1 1 0\n"
    "-1 2 1 0\n"
    "1 3 1 3\n"
    "1 0\n"
    "1 2\n";
constexpr const char* kMany =
    "2\n"
    "3 -1\n"
    "7 2 1 2 0.5 -1e3\n"
    "7 1 0 1 0\n"
    "-2 1 0 2 0\n"
    "1 4\n"
    "0 0 3 3\n";
constexpr const char* kMolecules =
    "gdb_1 2 1 6:0:3:0 8:-1:0:0 0-1-1\n"
    "\"a,b\" 1 0 7:1:4:1\n";

std::string graph_error(const std::string& content, GraphForm form = GraphForm::kAuto) {
  try {
    parse_graph_file(content, "g.txt", form);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kData) << content;
    return error.what();
  }
  ADD_FAILURE() << "no error: " << content;
  return "";
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), by);
}

TEST(GraphFile, ReadsOneGraph) {
  const GraphFile file = parse_graph_file(kOne, "g.txt");
  EXPECT_EQ(file.form, GraphForm::kNodes);
  EXPECT_EQ(file.nodes(), 4U);
  EXPECT_EQ(file.graphs(), 1U);
  EXPECT_EQ(file.feature_count, 5);
  EXPECT_THAT(file.labels, ElementsAre(0, 1, -1, 1));
  EXPECT_THAT(file.splits, ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(file.first_feature, ElementsAre(0, 2, 2, 3, 4));
  EXPECT_THAT(file.features, ElementsAre(1, 4, 0, 3));
  EXPECT_THAT(file.first_neighbour, ElementsAre(0, 1, 3, 4, 4));
  EXPECT_THAT(file.neighbours, ElementsAre(1, 0, 2, 1));
  EXPECT_THAT(file.lines, ElementsAre(2, 3, 4, 5));
}

TEST(GraphFile, ReadsManyGraphs) {
  const GraphFile file = parse_graph_file(kMany, "g.txt");
  EXPECT_EQ(file.form, GraphForm::kGraphs);
  EXPECT_THAT(file.first_node, ElementsAre(0, 3, 4));
  EXPECT_THAT(file.labels, ElementsAre(-1, 4));
  EXPECT_THAT(file.tags, ElementsAre(7, 7, -2, 0));
  EXPECT_THAT(file.neighbours, ElementsAre(1, 2, 0, 0));
  EXPECT_EQ(file.attribute_count, 2U);
  EXPECT_THAT(file.attributes, ElementsAre(0.5, -1000, 1, 0, 2, 0, 3, 3));
  EXPECT_THAT(file.lines, ElementsAre(2, 6));
}

TEST(GraphFile, ReadsMolecules) {
  const GraphFile file = parse_graph_file(kMolecules, "g.txt");
  EXPECT_EQ(file.form, GraphForm::kMolecules);
  EXPECT_THAT(file.names, ElementsAre("gdb_1", "\"a,b\""));
  EXPECT_THAT(file.first_node, ElementsAre(0, 2, 3));
  EXPECT_EQ(file.atoms[1].element, 8);
  EXPECT_EQ(file.atoms[1].charge, -1);
  EXPECT_EQ(file.atoms[0].hydrogens, 3);
  EXPECT_TRUE(file.atoms[2].aromatic);
  EXPECT_THAT(file.bond_types, ElementsAre(1, 1));
  EXPECT_EQ(file.degree(2), 0U);
}

TEST(GraphFile, LineEndsMarksAndBlankLinesAtTheEndDoNotMatter) {
  std::string text = std::string("\xef\xbb\xbf") + kOne + "\n \n";
  for (std::size_t i = text.find('\n'); i != std::string::npos; i = text.find('\n', i + 2)) {
    text.replace(i, 1, "\r\n");
  }
  EXPECT_EQ(parse_graph_file(text, "g.txt").neighbours, parse_graph_file(kOne, "g.txt").neighbours);
  std::string open = kOne;
  open.pop_back();
  EXPECT_EQ(parse_graph_file(open, "g.txt").neighbours.size(), 4U);
}

TEST(GraphFile, NamesLineAndDamage) {
  struct Case {
    const char* text;
    const char* what;
    const char* by;
    const char* message;
  };
  const Case cases[] = {
      {kOne, "4 5 2 2", "5 5 2 2", "line 6 of 'g.txt' ends before the number of features"},
      {kOne, "4 5 2 2", "4 5 2 3", "ends after line 7; expected 3 lines of edges, got 2"},
      {kOne, "4 5 2 2", "4 5 2 1", "line 7 of 'g.txt' stands after the 1 edges"},
      {kOne, "4 5 2 2", "4 0 2 2", "'0' as the number of features"},
      {kOne, "4 5 2 2", "4 99999999999999999999 2 2", "line 1"},
      {kOne, "4 5 2 2", "-4 5 2 2", "'-4' as the number of nodes"},
      {kOne, "0 0 2 4 1", "2 0 2 4 1", "line 2 of 'g.txt' has '2' as the label"},
      {kOne, "0 0 2 4 1", "0 4 2 4 1", "the split"},
      {kOne, "0 0 2 4 1", "0 0 3 4 1", "has 2 features; its count says 3"},
      {kOne, "0 0 2 4 1", "0 0 2 4 5", "a whole number from 0 to 4"},
      {kOne, "0 0 2 4 1", "0 0 2 4 4", "names a feature twice"},
      {kOne, "0 0 2 4 1", "0 0 2 4 x", "'x' as a feature"},
      {kOne, "1 0\n1 2", "1 0\n0 1", "line 7 of 'g.txt' gives the edge between 0 and 1 again"},
      {kOne, "1 0\n1 2", "1 0\n2 2", "line 7 of 'g.txt' joins node 2 to itself"},
      {kOne, "1 0\n1 2", "1 0\n1 4", "'4' as a node"},
      {kOne, "1 0\n1 2", "1 0\n1 2 0", "has 1 fields after the two ends"},
      {kOne, "1 0\n1 2", "1 0\n1", "ends before a node"},
      {kOne, "1 1 0", "\n1 1 0", "line 3 of 'g.txt' is blank"},
      {kMany, "2\n3", "3\n3", "ends after line 7; expected 3 graphs, got 2"},
      {kMany, "2\n3", "1\n3", "line 6 of 'g.txt' stands after the 1 graphs"},
      {kMany, "2\n3", "99999999999\n3", "the number of graphs"},
      {kMany, "3 -1", "4000000 -1", "line"},
      {kMany, "3 -1", "0 -1", "the number of nodes"},
      {kMany, "3 -1", "3 one", "'one' as the class"},
      {kMany, "7 2 1 2", "7 2 1 1", "in turn"},
      {kMany, "7 2 1 2", "7 2 1 0", "joins node 0 to itself"},
      {kMany, "7 2 1 2", "7 2 1 3", "a neighbour"},
      {kMany, "7 1 0 1 0", "7 0 1 0", "has the neighbour 1, which does not have it in turn"},
      {kMany, "-2 1 0 2 0", "-2 1 0 2", "has 1 values after its neighbours; the first node has 2"},
      {kMany, "0.5", "nan", "attribute 'nan'"},
      {kMany, "0.5", "1e999", "attribute"},
      {kMolecules, "2 1 6", "3 1 6", "has 3 fields after its counts of 3 atoms and 1 bonds"},
      {kMolecules, "2 1 6", "0 1 6", "the number of atoms"},
      {kMolecules, "6:0:3:0", "6:0:3", "expected element:charge:hydrogens:aromatic"},
      {kMolecules, "6:0:3:0", "119:0:3:0", "an element"},
      {kMolecules, "6:0:3:0", "6:0:3:2", "an aromatic mark"},
      {kMolecules, "6:0:3:0", "6:0:-3:0", "hydrogens"},
      {kMolecules, "0-1-1", "0-1-5", "a type of bond"},
      {kMolecules, "0-1-1", "0-2-1", "an atom"},
      {kMolecules, "0-1-1", "1-1-1", "to itself"},
      {kMolecules, "0-1-1", "0-1", "expected i-j-type"},
      {kMolecules, "gdb_1", "\xff", "line 1 of 'g.txt' is not valid UTF-8"},
  };
  for (const Case& one : cases) {
    const std::string message = graph_error(replaced(one.text, one.what, one.by));
    EXPECT_THAT(message, HasSubstr(one.message)) << one.what << " -> " << one.by;
    EXPECT_THAT(message, HasSubstr("g.txt"));
    EXPECT_THAT(message, HasSubstr("line "));
  }
  EXPECT_THAT(graph_error("1\n3 0\n0 2 1 1\n0 2 0 0\n0 0\n"), HasSubstr("0 and 1 again"));
  EXPECT_THAT(graph_error(""), HasSubstr("is empty"));
  EXPECT_THAT(graph_error(" \n\n"), HasSubstr("is empty"));
  EXPECT_THAT(graph_error(std::string("1\n1 0\n0 0\0\n", 10)), HasSubstr("NUL"));
  EXPECT_THAT(graph_error("{\"a\": [1, 2, 3]}"), HasSubstr("line 1"));
}

TEST(GraphFile, EveryCutIsAnErrorOrHasTheWholeText) {
  for (const char* text : {kOne, kMany}) {
    const std::string whole = text;
    for (std::size_t n = 0; n + 2 < whole.size(); ++n) {
      // A cut inside the last number may leave a smaller number.
      if (whole.find(' ', n) == std::string::npos) continue;
      graph_error(whole.substr(0, n), whole[1] == ' ' ? GraphForm::kNodes : GraphForm::kGraphs);
    }
  }
}

TEST(GraphFile, HugeCountsTakeNoMemory) {
  EXPECT_THAT(graph_error("2147483647 10000000 1000000 9223372036854775807\n0 0 0\n"),
              HasSubstr("ends after line 2"));
  EXPECT_THAT(graph_error("2147483647\n2147483647 0\n0 0\n"), HasSubstr("ends after line 3"));
  EXPECT_THAT(graph_error("a 2147483647 2147483647 6:0:0:0\n"), HasSubstr("has 1 fields"));
}

TEST(GraphFile, TheFormCanBeNamed) {
  // Four whole numbers are taken for one graph.
  EXPECT_THAT(graph_error("1 1 0 6:0:0:0\n7", GraphForm::kGraphs), HasSubstr("line 1"));
  EXPECT_EQ(parse_graph_file("1 1 0 6:0:0:0\n", "g.txt").form, GraphForm::kMolecules);
  EXPECT_THAT(graph_error(kMany, GraphForm::kNodes), HasSubstr("line 1"));
  EXPECT_THAT(graph_error(kOne, GraphForm::kMolecules), HasSubstr("line 1"));
}

TEST(GraphFile, ReadsFilesAndNamesThem) {
  const test::TempDir folder;
  const auto path = folder.path() / "그래프 \"g\": - .txt";
  write_file_atomic(path, kMolecules);
  EXPECT_EQ(read_graph_file(path).graphs(), 2U);
  write_file_atomic(path, "");
  try {
    read_graph_file(path);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("그래프"));
  }
  try {
    read_graph_file(folder.path() / "none");
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kIo);
  }
}

TEST(GraphFile, AListOfEdgesIsAGraph) {
  for (const char* text : {"0 1\n1 2\n2 0\n3 0\n",
                           "# from to\n0\t1\n2\t1\n1\t0\n2\t0\n% more\n0\t3\n",
                           "0,1\r\n1,2\r\n2,0\r\n1,0\r\n0,3\r\n"}) {
    const GraphFile file = parse_graph_file(text, "edges.txt");
    EXPECT_EQ(file.form, GraphForm::kNodes);
    EXPECT_EQ(file.nodes(), 4U);
    EXPECT_EQ(file.graphs(), 1U);
    EXPECT_THAT(file.neighbours, ::testing::ElementsAre(1, 2, 3, 0, 2, 0, 1, 0)) << text;
    EXPECT_EQ(file.feature_count, 4);
    EXPECT_THAT(file.features, ::testing::ElementsAre(0, 1, 2, 3));
    EXPECT_THAT(file.labels, ::testing::Each(-1));
  }
  EXPECT_EQ(parse_graph_file("0 4\n", "e").nodes(), 5U) << "gaps are nodes without edges";
  const auto message = [](const std::string& text) {
    return test::said([&] { parse_graph_file(text, "e", GraphForm::kEdges); });
  };
  EXPECT_THAT(message("0 1\n1 1\n"), ::testing::HasSubstr("line 2 of 'e' joins node 1 to itself"));
  EXPECT_THAT(message("0 1\n1 x\n"), ::testing::HasSubstr("has 'x' as a node"));
  EXPECT_THAT(message("0 1 2\n"), ::testing::HasSubstr("1 fields after"));
  EXPECT_THAT(message("0 9000000\n"), ::testing::HasSubstr("nearly without gaps"));
  EXPECT_THAT(message("# nothing\n"), ::testing::HasSubstr("has no edges"));
}

}  // namespace
}  // namespace detente::data
