// SPDX-License-Identifier: Apache-2.0
// Trunks for graphs (data/graph_source.h). Both mix each node's features with its neighbours' by a
// sparse matrix and change them by linear layers, in the order (matrix · x) · W:
//
//   gcn   x_l = dropout(relu(Â x_{l−1} W_l + b_l)),  Â = D^−½ (A + I) D^−½, D the degrees of A + I
//         (Kipf & Welling 2017); with `spread` the features are Â x_L, so that a head, which is
//         linear, is the network's last convolution: their network is widths: [16] with it
//   gin   x_l = dropout(relu(W'_l relu(W_l ((1 + ε) x_{l−1} + Σ_neighbours x_{l−1}) + b_l) + b'_l))
//         (Xu et al. 2019), ε a constant
//
// x_0: the nodes' features, dropped with `input_dropout`. Examples that are nodes take their rows of
// the last x; pairs of nodes the product z_a z_b, element by element, of z = W x + b, so that their order makes no
// difference (with heads that are linear a graph autoencoder, Kipf & Welling 2016, whose inner product has a weight
// for each element); of graphs, the sum or mean over each one's nodes. The same bits every time on the CPU.
#pragma once

#include <detente/nn/trunk.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace detente::nn {

// What the two share.
class GraphTrunk : public Trunk {
 public:
  enum class Readout { kSum, kMean };

  void describe(FieldVisitor& model) override;
  void validate() const override;
  void prepare(data::Source& source) const override;
  void build(const data::Source& fitted, Draw& draw) override;
  std::int64_t width() const override { return static_cast<std::int64_t>(widths_.back()); }
  // kShape for a batch without examples or one whose arrays do not fit each other, kData for
  // features that the training examples do not have, kUnsupported where the matrix of features
  // would have more than 2^30 numbers.
  at::Tensor features(const data::Batch& batch, Rng* random = nullptr) const override;

  // "features" [nodes, F] float32, "edges" [2, E] int64 (from and to; an edge without a direction stands
  // twice, and all of a node's are there: they are its degree), then "asked" [B] int64, the nodes that are
  // examples, of pairs "asked_other" [B] as well, or "graph_of" [nodes] and "sizes" [B] int64, each node's graph and each graph's nodes.
  PortableInputs portable_inputs(const data::Source& fitted) const override;
  TensorList portable_views(const TensorList& inputs, const data::Source& fitted) const override;

  // Without a source.
  void build(std::size_t feature_count, Draw& draw, bool pairs = false);

 protected:
  // The weight of a node's own features and of a neighbour's, from both degrees.
  virtual double own_weight(std::int64_t degree) const = 0;
  virtual double neighbour_weight(std::int64_t degree, std::int64_t other) const = 0;
  // The same of tensors of degrees, as LibTorch's operations.
  virtual at::Tensor own_weights(const at::Tensor& degrees) const = 0;
  virtual at::Tensor neighbour_weights(const at::Tensor& degrees,
                                       const at::Tensor& others) const = 0;
  virtual void add_layer(std::size_t layer, std::int64_t in, std::int64_t out, Draw& draw) = 0;
  // `mixed`: matrix · x.
  virtual at::Tensor layer(const at::Tensor& mixed, std::size_t layer) const = 0;
  virtual bool mixes_last() const { return false; }

 private:
  at::Tensor pair_features(const at::Tensor& first, const at::Tensor& second) const;

  std::vector<double> widths_ = {64, 64};  // whole numbers
  double dropout_ = 0.1;
  double input_dropout_ = 0;
  Readout readout_ = Readout::kSum;

  std::int64_t feature_count_ = 0;
};

class GcnTrunk final : public GraphTrunk {
 public:
  const char* kind() const override { return "gcn"; }
  void describe(FieldVisitor& model) override;
  std::unique_ptr<Trunk> clone() const override { return std::make_unique<GcnTrunk>(*this); }

 protected:
  double own_weight(std::int64_t degree) const override;
  double neighbour_weight(std::int64_t degree, std::int64_t other) const override;
  at::Tensor own_weights(const at::Tensor& degrees) const override;
  at::Tensor neighbour_weights(const at::Tensor& degrees, const at::Tensor& others) const override;
  void add_layer(std::size_t layer, std::int64_t in, std::int64_t out, Draw& draw) override;
  at::Tensor layer(const at::Tensor& mixed, std::size_t layer) const override;
  bool mixes_last() const override { return spread_; }

 private:
  bool spread_ = true;
};

class GinTrunk final : public GraphTrunk {
 public:
  const char* kind() const override { return "gin"; }
  void describe(FieldVisitor& model) override;
  std::unique_ptr<Trunk> clone() const override { return std::make_unique<GinTrunk>(*this); }

 protected:
  double own_weight(std::int64_t degree) const override;
  double neighbour_weight(std::int64_t degree, std::int64_t other) const override;
  at::Tensor own_weights(const at::Tensor& degrees) const override;
  at::Tensor neighbour_weights(const at::Tensor& degrees, const at::Tensor& others) const override;
  void add_layer(std::size_t layer, std::int64_t in, std::int64_t out, Draw& draw) override;
  at::Tensor layer(const at::Tensor& mixed, std::size_t layer) const override;

 private:
  double epsilon_ = 0;
  bool norm_ = false;
};

}  // namespace detente::nn
