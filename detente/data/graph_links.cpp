// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/rng.h>
#include <detente/data/graph_links.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>
#include <vector>

namespace detente::data {
namespace {

using Pair = std::pair<std::size_t, std::size_t>;  // first < second

std::vector<Pair> edges_of(const GraphFile& file) {
  std::vector<Pair> edges;
  for (std::size_t node = 0; node < file.nodes(); ++node) {
    for (std::size_t j = file.first_neighbour[node]; j < file.first_neighbour[node + 1]; ++j) {
      const auto other = static_cast<std::size_t>(file.neighbours[j]);
      if (node < other) edges.emplace_back(node, other);
    }
  }
  return edges;
}

// Different pairs without an edge, in the order of drawing.
std::vector<Pair> unlinked_pairs(const GraphFile& file, std::size_t count, Rng& rng) {
  const std::size_t nodes = file.nodes();
  const std::size_t edges = file.neighbours.size() / 2;
  const double all = 0.5 * static_cast<double>(nodes) * static_cast<double>(nodes - 1);
  DETENTE_CHECK(all - static_cast<double>(edges) >= static_cast<double>(count),
                ErrorCode::kData,
                "[data::hold_out_links] '{}' has {} edges and {} pairs of nodes without one; "
                "expected at least as "
                "many of these, to be told from the edges.",
                file.source,
                edges,
                static_cast<std::size_t>(all) - edges);
  std::vector<Pair> pairs;
  if (all < 8.0 * static_cast<double>(count)) {
    // Most draws would find what is taken.
    for (std::size_t second = 1; second < nodes; ++second) {
      for (std::size_t first = 0; first < second; ++first) {
        if (!file.linked(first, second)) pairs.emplace_back(first, second);
      }
    }
    rng.shuffle(pairs);
    pairs.resize(count);
    return pairs;
  }
  std::set<Pair> taken;
  while (pairs.size() < count) {
    const auto a = static_cast<std::size_t>(rng.below(nodes));
    const auto b = static_cast<std::size_t>(rng.below(nodes));
    const Pair pair(std::min(a, b), std::max(a, b));
    if (a != b && !file.linked(pair.first, pair.second) && taken.insert(pair).second)
      pairs.push_back(pair);
  }
  return pairs;
}

std::string graph_text(const GraphFile& file, std::vector<Pair> edges) {
  std::sort(edges.begin(), edges.end());
  std::string text =
      fmt::format("{} {} {} {}\n", file.nodes(), file.feature_count, file.classes, edges.size());
  for (std::size_t node = 0; node < file.nodes(); ++node) {
    const std::size_t begin = file.first_feature[node];
    const std::size_t end = file.first_feature[node + 1];
    text += fmt::format("{} {} {}", file.labels[node], file.splits[node], end - begin);
    for (std::size_t i = begin; i < end; ++i) text += fmt::format(" {}", file.features[i]);
    text += '\n';
  }
  for (const auto& [first, second] : edges) text += fmt::format("{} {}\n", first, second);
  return text;
}

}  // namespace

LinkFiles hold_out_links(const GraphFile& file, const LinkShares& shares) {
  DETENTE_CHECK(file.form == GraphForm::kNodes,
                ErrorCode::kData,
                "[data::hold_out_links] '{}' has the form {}; expected one graph, the form nodes.",
                file.source,
                name_of(file.form));
  DETENTE_CHECK(shares.dev >= 0 && shares.test >= 0 && shares.dev + shares.test < 1,
                ErrorCode::kInvalidArgument,
                "[data::hold_out_links] dev {} and test {} of the edges; expected shares from 0 on "
                "that leave "
                "something for training.",
                shares.dev,
                shares.test);
  std::vector<Pair> edges = edges_of(file);
  Rng rng(static_cast<std::uint64_t>(shares.seed));
  rng.shuffle(edges);
  LinkFiles files;
  const auto share_of = [&](double share) {
    return static_cast<std::size_t>(std::llround(share * static_cast<double>(edges.size())));
  };
  files.dev = share_of(shares.dev);
  files.test = share_of(shares.test);
  const bool enough = files.dev + files.test < edges.size() && (files.dev > 0 || shares.dev == 0) &&
                      (files.test > 0 || shares.test == 0);
  DETENTE_CHECK(enough,
                ErrorCode::kData,
                "[data::hold_out_links] the {} edges of '{}' are too few for shares of {} and {}; "
                "expected at least "
                "one for each part.",
                edges.size(),
                file.source,
                shares.dev,
                shares.test);
  files.train = edges.size() - files.dev - files.test;
  const std::vector<Pair> others = unlinked_pairs(file, edges.size(), rng);
  files.graph =
      graph_text(file, {edges.begin(), edges.begin() + static_cast<std::ptrdiff_t>(files.train)});
  files.pairs = "node,other,link,same_label,part\n";
  const auto same_label = [&](const Pair& pair) {
    const std::int64_t a = file.labels[pair.first];
    const std::int64_t b = file.labels[pair.second];
    return a < 0 || b < 0 ? "" : a == b ? "1" : "0";
  };
  for (std::size_t i = 0; i < edges.size(); ++i) {
    const char* const part = i < files.train               ? "train"
                             : i < files.train + files.dev ? "dev"
                                                           : "test";
    for (const bool link : {true, false}) {
      const Pair& pair = link ? edges[i] : others[i];
      files.pairs += fmt::format(
          "{},{},{},{},{}\n", pair.first, pair.second, link ? 1 : 0, same_label(pair), part);
    }
  }
  return files;
}

}  // namespace detente::data
