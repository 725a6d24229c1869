// SPDX-License-Identifier: Apache-2.0
// The trunk for joined examples (data/joined_source.h): a trunk of its own for each part, then what joins
// their features f_p(x_p), p = 1, ..., P.
//
//   concat  x = [m_1 f_1, ..., m_P f_P, marks]      m_p: whether the example has the part; a part that it
//                                                   lacks has features of 0
//   gated   x = Σ_p z_p ⊙ tanh(W_p m_p f_p),  z_p = σ(V_p [m_1 f_1, ..., m_P f_P, marks])
//           Gated multimodal units for any number of parts (Arevalo et al., arXiv 1702.01992): no biases,
//           so a part that is lacking adds exactly 0
//   marks   m_p for each part that some training example lacked; none for the others
//   after   x_l = dropout(relu(W_l x_{l−1} + b_l))  l = 1, ..., one per entry of `widths`
//
// A part's trunk sees the examples that have the part and no others, so statistics of a batch are theirs.
// With one part that no example lacks, concat and no widths the features are the part's own.
#pragma once

#include <ATen/core/Tensor.h>
#include <detente/nn/trunk.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace detente::nn {

class JoinedTrunk final : public Trunk {
 public:
  enum class Join { kConcat, kGated };

  JoinedTrunk() = default;
  JoinedTrunk(const JoinedTrunk& other);

  const char* kind() const override { return "joined"; }
  // The parts, each with the default trunk of its kind of data.
  void suit(const data::Source& options) override;
  void describe(FieldVisitor& model) override;
  void validate() const override;
  void resolve_paths(const std::filesystem::path& folder) override;
  std::unique_ptr<Trunk> clone() const override { return std::make_unique<JoinedTrunk>(*this); }
  void prepare(data::Source& source) const override;
  void build(const data::Source& fitted, Draw& draw) override;
  void start_from(const data::Source& training, Rng& rng) override;
  std::string long_start() const override;
  std::int64_t width() const override;
  at::Tensor features(const data::Batch& batch, Rng* random = nullptr) const override;
  // As many as the part with most; others repeat theirs.
  TensorList views(const data::Batch& batch) const override;
  std::vector<double> learning_rates() const override;
  void to(tensor::Device device, tensor::DType dtype) override;

  // Those of the parts, "P_" before their names; with marks also "present" [B, marks] float32, 1 where the
  // example has the part. What stands in place of a part that is lacking does not count; it must be
  // valid.
  PortableInputs portable_inputs(const data::Source& fitted) const override;
  TensorList portable_views(const TensorList& inputs, const data::Source& fitted) const override;

  std::vector<std::string> part_names() const;
  const Trunk& part(std::size_t index) const { return *parts_.at(index).trunk; }
  // Whether the network knows examples without the part: it has a mark.
  bool may_lack(std::size_t part) const { return parts_.at(part).may_lack; }

  // What a part does to the answers is seen by taking it away from every example that has it: until
  // restore_parts() its features are `stand_in` [width of the part], or, undefined, 0 with a mark of 0, as
  // of examples that lack it. Those that lack it stay as they are. kShape for another width.
  void take_away(std::size_t part, const at::Tensor& stand_in);
  void restore_parts();

 private:
  struct Part {
    std::string name;
    std::string kind;  // of its trunk
    std::unique_ptr<Trunk> trunk;
    bool may_lack = false;
    std::optional<at::Tensor> stand_in = std::nullopt;  // taken away; undefined: as if lacking
  };
  struct DataPart {
    std::string name;
    std::string kind;
  };

  void describe_part(std::size_t index, FieldVisitor& visitor);
  // The entries in the order of the data's parts, those that the recipe leaves out included.
  void settle();
  // parameters_ from those of the parts and of what joins them.
  void gather();
  std::int64_t marks() const;
  std::int64_t joined_width() const;  // of [f_1, ..., f_P, marks]
  // From each part's features, 0 where lacking, and the marks [B, marks], undefined without.
  at::Tensor joined(const TensorList& features, const at::Tensor& marks, Dropout& drop) const;
  // One entry per view: the parts' features, of all examples.
  std::vector<TensorList> part_views(const data::Batch& batch, Rng* random, bool all_views) const;
  at::Tensor marks_of(const data::Batch& batch) const;

  std::vector<DataPart> data_parts_;
  Join join_ = Join::kConcat;
  std::int64_t gate_width_ = 64;
  std::vector<double> widths_ = {128};  // whole numbers
  double dropout_ = 0.1;
  std::vector<Part> parts_;
  Parameters own_layers_;  // of what joins the parts
};

}  // namespace detente::nn
