// SPDX-License-Identifier: Apache-2.0
#include <detente/data/graph_batch.h>

#include <cstddef>
#include <set>
#include <unordered_map>
#include <utility>

namespace detente::data {
namespace {

using Numbers = std::vector<std::int32_t>;

// The arrays while they grow.
struct Growing {
  Numbers feature_node;
  Numbers feature;
  std::vector<float> feature_value;
  Numbers from;
  Numbers to;
  Numbers degree;

  void add_node(const GraphFile& file, const NodeFeatures& features, std::size_t node) {
    const auto number = static_cast<std::int32_t>(degree.size());
    const auto begin = static_cast<std::ptrdiff_t>(features.first[node]);
    const auto end = static_cast<std::ptrdiff_t>(features.first[node + 1]);
    feature_node.insert(feature_node.end(), static_cast<std::size_t>(end - begin), number);
    feature.insert(feature.end(), features.entries.begin() + begin, features.entries.begin() + end);
    feature_value.insert(
        feature_value.end(), features.values.begin() + begin, features.values.begin() + end);
    degree.push_back(static_cast<std::int32_t>(file.degree(node)));
  }

  template <class Values>
  static Array array(const char* name, Values values) {
    const std::size_t count = values.size();
    return {name, {count}, std::move(values)};
  }
  Batch batch() && {
    Batch batch;
    batch.push_back(array("feature_node", std::move(feature_node)));
    batch.push_back(array("feature", std::move(feature)));
    batch.push_back(array("feature_value", std::move(feature_value)));
    batch.push_back(array("from", std::move(from)));
    batch.push_back(array("to", std::move(to)));
    batch.push_back(array("degree", std::move(degree)));
    return batch;
  }
};

// All nodes and edges of a graph of the file.
void add_graph(const GraphFile& file,
               const NodeFeatures& features,
               std::size_t graph,
               Growing& arrays) {
  const auto before = static_cast<std::int32_t>(arrays.degree.size());
  for (std::size_t node = file.first_node[graph]; node < file.first_node[graph + 1]; ++node) {
    const auto number = static_cast<std::int32_t>(arrays.degree.size());
    arrays.add_node(file, features, node);
    for (std::size_t j = file.first_neighbour[node]; j < file.first_neighbour[node + 1]; ++j) {
      arrays.from.push_back(number);
      arrays.to.push_back(before + file.neighbours[j]);
    }
  }
}

// `most` different numbers below `count` (Floyd's way: one draw for each).
std::set<std::size_t> drawn(std::size_t count, std::size_t most, Rng rng) {
  std::set<std::size_t> chosen;
  for (std::size_t last = count - most; last < count; ++last) {
    if (!chosen.insert(static_cast<std::size_t>(rng.below(last + 1))).second) chosen.insert(last);
  }
  return chosen;
}

}  // namespace

Batch union_of_graphs(const GraphFile& file,
                      const NodeFeatures& features,
                      std::span<const std::size_t> graphs) {
  Growing arrays;
  Numbers graph_of;
  Numbers sizes;
  for (const std::size_t graph : graphs) {
    const std::size_t count = file.first_node[graph + 1] - file.first_node[graph];
    graph_of.insert(graph_of.end(), count, static_cast<std::int32_t>(sizes.size()));
    sizes.push_back(static_cast<std::int32_t>(count));
    add_graph(file, features, graph, arrays);
  }
  Batch batch = std::move(arrays).batch();
  batch.push_back(Growing::array("graph_of", std::move(graph_of)));
  batch.push_back(Growing::array("sizes", std::move(sizes)));
  return batch;
}

Batch whole_graph(const GraphFile& file, const NodeFeatures& features) {
  Growing arrays;
  add_graph(file, features, 0, arrays);
  return std::move(arrays).batch();
}

Neighbourhood neighbourhood(const GraphFile& file,
                            const NodeFeatures& features,
                            std::span<const std::size_t> nodes,
                            std::size_t hops,
                            std::size_t most,
                            const Rng* draw) {
  Growing arrays;
  std::vector<float> weights;
  std::vector<std::size_t> reached;
  std::unordered_map<std::size_t, std::int32_t> numbers;
  const auto number_of = [&](std::size_t node) {
    const auto [found, fresh] = numbers.emplace(node, static_cast<std::int32_t>(reached.size()));
    if (fresh) {
      reached.push_back(node);
      arrays.add_node(file, features, node);
    }
    return found->second;
  };
  Neighbourhood around;
  for (const std::size_t node : nodes) around.asked.push_back(number_of(node));
  std::size_t done = 0;
  for (std::size_t hop = 0; hop < hops; ++hop) {
    for (const std::size_t end = reached.size(); done < end; ++done) {
      const std::size_t node = reached[done];
      const auto to = static_cast<std::int32_t>(done);
      const std::size_t degree = file.degree(node);
      const std::int32_t* const neighbours = file.neighbours.data() + file.first_neighbour[node];
      const auto add = [&](std::size_t place, float weight) {
        arrays.from.push_back(number_of(static_cast<std::size_t>(neighbours[place])));
        arrays.to.push_back(to);
        weights.push_back(weight);
      };
      if (draw == nullptr || degree <= most) {
        for (std::size_t place = 0; place < degree; ++place) add(place, 1.0F);
        continue;
      }
      const float weight = static_cast<float>(degree) / static_cast<float>(most);
      for (const std::size_t place : drawn(degree, most, draw->fork(node))) add(place, weight);
    }
  }
  around.batch = std::move(arrays).batch();
  around.batch.push_back(Growing::array("edge_weight", std::move(weights)));
  return around;
}

}  // namespace detente::data
