// SPDX-License-Identifier: Apache-2.0
#include <detente/data/graph_batch.h>
#include <detente/data/graph_links.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace detente::data {
namespace {

using test::error_of;
using testing::ElementsAre;
using testing::HasSubstr;
using Numbers = std::vector<std::int32_t>;

Numbers numbers(const Batch& batch, const char* name) {
  return std::get<Numbers>(array_of(batch, name).values);
}
std::vector<float> floats(const Batch& batch, const char* name) {
  return std::get<std::vector<float>>(array_of(batch, name).values);
}

// A node with one feature each and these edges.
GraphFile graph_of(std::size_t nodes, const std::vector<std::pair<int, int>>& edges) {
  std::string text = std::to_string(nodes) + " " + std::to_string(nodes) + " 2 " +
                     std::to_string(edges.size()) + "\n";
  for (std::size_t i = 0; i < nodes; ++i) {
    text += std::to_string(static_cast<int>(i % 3) - 1) + " 0 1 " + std::to_string(i) + "\n";
  }
  for (const auto& [a, b] : edges) text += std::to_string(a) + " " + std::to_string(b) + "\n";
  return parse_graph_file(text, "made", GraphForm::kNodes);
}

NodeFeatures features_of(const GraphFile& file) {
  return {file.first_feature, file.features, std::vector<float>(file.features.size(), 1.0F)};
}

// Node 0 in the middle of a star, 1..n around it, and a chain that leads on from 1.
GraphFile star_with_tail(int around, int tail) {
  std::vector<std::pair<int, int>> edges;
  for (int i = 1; i <= around; ++i) edges.emplace_back(0, i);
  for (int i = 0; i < tail; ++i) edges.emplace_back(i == 0 ? 1 : around + i, around + i + 1);
  return graph_of(static_cast<std::size_t>(1 + around + tail), edges);
}

// The edges by the features of their ends, which are the nodes' numbers in the file.
std::set<std::pair<std::int32_t, std::int32_t>> edges_of(const Batch& batch) {
  const Numbers names = numbers(batch, "feature");
  std::set<std::pair<std::int32_t, std::int32_t>> edges;
  const Numbers from = numbers(batch, "from");
  const Numbers to = numbers(batch, "to");
  for (std::size_t i = 0; i < from.size(); ++i) {
    edges.emplace(names[static_cast<std::size_t>(from[i])], names[static_cast<std::size_t>(to[i])]);
  }
  return edges;
}

TEST(Neighbourhood, ReachesSoManyEdgesFar) {
  const GraphFile file = star_with_tail(3, 3);
  const auto around = [&](std::size_t hops) {
    return neighbourhood(file, features_of(file), RowList{6, 4, 6}, hops, 1, nullptr);
  };
  EXPECT_THAT(around(0).asked, ElementsAre(0, 1, 0)) << "numbered as they are mentioned";
  EXPECT_THAT(numbers(around(0).batch, "feature"), ElementsAre(6, 4));
  EXPECT_THAT(numbers(around(0).batch, "degree"), ElementsAre(1, 2)) << "of the whole graph";
  EXPECT_TRUE(edges_of(around(0).batch).empty());
  using Pair = std::pair<std::int32_t, std::int32_t>;
  EXPECT_THAT(edges_of(around(1).batch), ElementsAre(Pair(1, 4), Pair(5, 4), Pair(5, 6)));
  // All of a star's middle lies two edges from 4.
  EXPECT_EQ(numbers(around(3).batch, "degree").size(), 7U);
  EXPECT_EQ(numbers(around(9).batch, "from").size(), 2 * 6U)
      << "each edge in both directions, once";
  for (const float weight : floats(around(9).batch, "edge_weight")) EXPECT_EQ(weight, 1.0F);
}

TEST(Neighbourhood, DrawsSoManyNeighboursAndCountsThemForAll) {
  const GraphFile file = star_with_tail(20, 0);
  std::map<std::int32_t, int> drawn;
  const int rounds = 4000;
  for (int round = 0; round < rounds; ++round) {
    const Rng draw(static_cast<std::uint64_t>(round));
    const Batch batch = neighbourhood(file, features_of(file), RowList{0}, 1, 5, &draw).batch;
    const auto edges = edges_of(batch);
    ASSERT_EQ(edges.size(), 5U) << "none twice";
    for (const auto& [from, to] : edges) {
      ASSERT_EQ(to, 0);
      ++drawn[from];
    }
    for (const float weight : floats(batch, "edge_weight")) ASSERT_EQ(weight, 4.0F);
  }
  ASSERT_EQ(drawn.size(), 20U);
  // Each is drawn with probability 1/4: five deviations of a share of 4,000.
  for (const auto& [node, times] : drawn) EXPECT_NEAR(times, rounds / 4, 5 * 27.4) << node;
}

TEST(Neighbourhood, WhatIsDrawnForANodeDependsOnNothingElse) {
  const GraphFile file = star_with_tail(20, 4);
  const Rng draw(3);
  const auto into_middle = [&](const RowList& asked) {
    std::set<std::int32_t> from;
    for (const auto& edge :
         edges_of(neighbourhood(file, features_of(file), asked, 2, 4, &draw).batch)) {
      if (edge.second == 0) from.insert(edge.first);
    }
    return from;
  };
  const auto alone = into_middle({0});
  EXPECT_EQ(alone.size(), 4U);
  EXPECT_EQ(into_middle({7, 3, 0}), alone);
  EXPECT_EQ(into_middle({9}), alone) << "reached as a neighbour";
}

TEST(HoldOutLinks, PartsShareTheEdgesAndAsManyPairsWithout) {
  std::vector<std::pair<int, int>> edges;
  for (int i = 0; i < 60; ++i) edges.emplace_back(i, (i + 1) % 60);
  const GraphFile file = graph_of(60, edges);
  const LinkFiles files = hold_out_links(file, {.dev = 0.1, .test = 0.2, .seed = 4});
  EXPECT_EQ(files.train, 42U);
  EXPECT_EQ(files.dev, 6U);
  EXPECT_EQ(files.test, 12U);
  const GraphFile kept = parse_graph_file(files.graph, "kept");
  EXPECT_EQ(kept.neighbours.size(), 2 * 42U);
  EXPECT_EQ(kept.labels, file.labels);
  EXPECT_EQ(kept.splits, file.splits);
  EXPECT_EQ(kept.features, file.features);
  const auto linked = [](const GraphFile& graph, std::size_t a, std::size_t b) {
    const auto begin =
        graph.neighbours.begin() + static_cast<std::ptrdiff_t>(graph.first_neighbour[a]);
    return std::find(begin,
                     begin + static_cast<std::ptrdiff_t>(graph.degree(a)),
                     static_cast<std::int32_t>(b)) !=
           begin + static_cast<std::ptrdiff_t>(graph.degree(a));
  };
  const Table pairs = Table::parse(files.pairs, "pairs.csv", TableFormat::kCsv);
  ASSERT_EQ(pairs.rows(), 120U);
  std::set<std::pair<double, double>> seen;
  std::map<std::string, int> counts;
  const auto first = pairs.numeric_column("node");
  const auto second = pairs.numeric_column("other");
  for (std::size_t row = 0; row < pairs.rows(); ++row) {
    EXPECT_LT(first[row], second[row]);
    EXPECT_TRUE(seen.emplace(first[row], second[row]).second) << "no pair twice";
    const auto a = static_cast<std::size_t>(first[row]);
    const auto b = static_cast<std::size_t>(second[row]);
    const bool link = pairs.cell(row, 2) == "1";
    const std::string part(pairs.cell(row, 4));
    EXPECT_EQ(linked(file, a, b), link);
    EXPECT_EQ(linked(kept, a, b), link && part == "train");
    const bool known = a % 3 != 0 && b % 3 != 0;  // node 3k has no label
    EXPECT_EQ(pairs.cell(row, 3), !known ? "" : a % 3 == b % 3 ? "1" : "0");
    ++counts[part + (link ? "+" : "-")];
  }
  EXPECT_EQ(counts["train+"], 42);
  EXPECT_EQ(counts["train-"], 42);
  EXPECT_EQ(counts["test-"], 12);
  EXPECT_EQ(hold_out_links(file, {.dev = 0.1, .test = 0.2, .seed = 4}).pairs, files.pairs);
  EXPECT_NE(hold_out_links(file, {.dev = 0.1, .test = 0.2, .seed = 5}).pairs, files.pairs);
}

TEST(HoldOutLinks, RefusesWhatHasNoSuchParts) {
  const GraphFile small = graph_of(5, {{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 0}});
  // Five edges, five pairs without: all of them.
  EXPECT_EQ(hold_out_links(small, {.dev = 0.2, .test = 0.2}).train, 3U);
  const auto message = [&](const GraphFile& file, LinkShares shares) {
    return std::string(error_of([&] { hold_out_links(file, shares); }).what());
  };
  EXPECT_THAT(message(graph_of(5, {{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 0}, {0, 2}}),
                      {.dev = 0.2, .test = 0.2}),
              HasSubstr("6 edges and 4 pairs"));
  EXPECT_THAT(message(small, {.dev = 0.05, .test = 0.2}), HasSubstr("too few"));
  EXPECT_THAT(message(small, {.dev = 0.5, .test = 0.5}), HasSubstr("leave something"));
  EXPECT_THAT(message(small, {.dev = -0.1, .test = 0.5}), HasSubstr("from 0 on"));
  EXPECT_THAT(message(graph_of(3, {}), {}), HasSubstr("too few"));
  EXPECT_THAT(message(parse_graph_file("1\n1 0\n0 0\n", "many"), {}), HasSubstr("form graphs"));
}

}  // namespace
}  // namespace detente::data
