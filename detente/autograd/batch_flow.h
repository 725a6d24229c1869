// SPDX-License-Identifier: Apache-2.0
// How the batch flows through the trunk: where the examples lie in every tensor of it, by a table
// of what each kind of node does to them.
#pragma once

#include <detente/autograd/border.h>
#include <detente/autograd/example_slices.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace detente::autograd {

class BatchFlow {
 public:
  static constexpr std::int64_t kUnknown = 0;
  // The same for all examples: the batch meets it by broadcasting, or as a layer's weight. So is
  // everything it is computed from.
  static constexpr std::int64_t kBatchFree = -1;

  // What statistics of the whole batch do to the rows below them.
  enum class Statistics {
    kMix,   // each example depends on every other
    kKeep,  // but its rows stay where they are
  };

  BatchFlow(const Trunk& trunk, const JointBatch& batch, Statistics statistics = Statistics::kMix);

  // Of the node's output number `output`: elements between an entry of one example and the same
  // entry of the next, see LayerUse::inner; kUnknown where examples have been mixed, or kBatchFree.
  std::int64_t inner_at(const Node& node, std::uint32_t output) const;
  bool batch_free(const Edge& edge) const;
  // Of all its outputs that something needs.
  bool batch_free(const Node& node) const;
  // The kind of the node, nearest to the losses, below which the batch is lost; empty where it is not.
  const std::string& lost_at() const { return lost_at_; }

 private:
  using Place = std::pair<const Node*, std::uint32_t>;

  // A dimension that the batch fills alone or together with others it was flattened with.
  struct BatchDim {
    std::size_t dim = 0;
    std::int64_t inner = 0;  // of the dimension's own index
  };

  void set_inner(const Edge& edge, std::int64_t inner);
  std::optional<BatchDim> locate(const Shape& shape, std::int64_t inner) const;
  std::int64_t inner_below(const Node& node, std::size_t edge_index) const;
  std::int64_t inner_below_elementwise(const BatchDim& at, const Shape& out, const Shape& in) const;
  std::int64_t inner_below_split(const Node& node, const Shape& in) const;

  std::int64_t batch_ = 0;  // examples
  Statistics statistics_;
  std::map<Place, std::int64_t> inner_;
  std::string lost_at_;
};

}  // namespace detente::autograd
