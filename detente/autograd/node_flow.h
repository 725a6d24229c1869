// SPDX-License-Identifier: Apache-2.0
// What each kind of node of the graph does to the dimensions of the tensors that pass it: the table by
// which the batch is followed (batch_flow.h), and what single nodes keep of their dimensions.
#pragma once

#include <detente/autograd/graph_nodes.h>

#include <string>
#include <vector>

namespace detente::autograd {

// What a kind of node does to the examples.
enum class Flow {
  kMixes,        // unknown, or mixes examples
  kReshape,      // same elements in the same order
  kElementwise,  // with broadcasting
  kLeading,      // dimension 0 is the batch and stays it
  kMatrix,       // rows times matrix
  kBatchMatrix,  // one product per entry of dimension 0, which may be the batch
  kPermute,
  kAlong,   // works along one dimension of the output
  kReduce,  // sum or mean over dimensions
  kSelect,
  kStack,
  kRepeat,
  kIndex,
  kSplit,
  kBatchNorm,
  kNormalize,  // per example, input first
  kLookUp,     // of the input's rows; the indices are the examples'
};
Flow flow_of(const std::string& name);

// Of a product of matrices: the left factor's edge. An addend comes before it.
std::size_t left_factor(const std::string& name);
// A kind that works on dimension 0 as the batch and has parameters for arguments after the first.
bool has_parameters(const std::string& name);

// The dimension of the input that dimension `dim` of the output is, of `dims`:
// kPermute.
std::size_t permuted(const Node& node, std::size_t dim, std::size_t dims);
// kReduce; `dims` of the input, and `dims` for none.
std::size_t unreduced(const Node& node, std::size_t dim, std::size_t dims);
// kIndex, entry by entry, where one dimension is indexed; or where the first two are, the first by 0, 1, ...
// (one position of each example). `dims` of the input, and `dims` for none.
std::size_t unindexed(const Node& node, std::size_t dim, std::size_t dims);

// kAlong: the dimensions of the output, `dims`, that the node works along.
std::vector<bool> along(const Node& node, std::size_t dims);

}  // namespace detente::autograd
