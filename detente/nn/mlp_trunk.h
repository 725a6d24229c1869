// SPDX-License-Identifier: Apache-2.0
// The trunk for tables (data/table_source.h) and arrays [n, d] (data/array_source.h): hidden layers over
// numbers, marks of missing cells and a learned vector per category.
//
//   x_0 = [numbers, missing, E_1[id_1], E_2[id_2], ...]
//   x_l = dropout(σ(W_l x_{l-1} + b_l))          features: the last x
//
// The vector of the unknown category (id 0) starts at zero and learns from rare ones alone.
#pragma once

#include <detente/nn/trunk.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace detente::nn {

class MlpTrunk final : public Trunk {
 public:
  enum class Activation { kRelu, kGelu, kSilu };

  const char* kind() const override { return "mlp"; }
  void describe(FieldVisitor& model) override;
  void validate() const override;
  std::unique_ptr<Trunk> clone() const override { return std::make_unique<MlpTrunk>(*this); }
  void prepare(data::Source& source) const override;
  void build(const data::Source& fitted, Draw& draw) override;
  std::int64_t width() const override;
  // kShape for a batch with other columns, kData for a category that there is none of.
  at::Tensor features(const data::Batch& batch, Rng* random = nullptr) const override;

  // "numbers" [B, columns] float64: numbers as they are and dates as days since 1970, NaN where
  // missing; "categories" [B, columns] int64: places in the list of words from 1 on, 0 for others.
  PortableInputs portable_inputs(const data::Source& fitted) const override;
  TensorList portable_views(const TensorList& inputs, const data::Source& fitted) const override;

  // Without a source: how many numbers, marks of missing cells, and categories (the unknown one
  // included) per category column.
  void build(std::size_t numbers,
             std::size_t missing,
             const std::vector<std::size_t>& categories,
             Draw& draw);
  // Numbers per category of a column with `count` categories.
  std::int64_t embedding_width(std::size_t count) const;

 private:
  // The hidden layers over the joined columns.
  at::Tensor hidden(const TensorList& joined, Dropout& drop) const;

  std::vector<double> widths_ = {128, 128};  // whole numbers
  Activation activation_ = Activation::kRelu;
  double dropout_ = 0.1;
  std::int64_t embedding_ = 0;  // 0: by the number of categories

  std::size_t numbers_ = 0;
  std::size_t missing_ = 0;
  std::vector<std::size_t> categories_;
};

}  // namespace detente::nn
