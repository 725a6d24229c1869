// SPDX-License-Identifier: Apache-2.0
// The encoder of BERT (Devlin et al., NAACL 2019, arXiv 1810.04805): embeddings of token, position and
// segment, summed and normalised; layers of self-attention and a wide layer, each normalised after its
// sum (post-norm). Parameters have the names of published checkpoints, so that a file of those is read
// name by name and one of ours is read by others:
//
//   embeddings.{word,position,token_type}_embeddings.weight, embeddings.LayerNorm.{weight,bias}
//   encoder.layer.<i>.attention.self.{query,key,value}, .attention.output.{dense,LayerNorm},
//                     .intermediate.dense, .output.{dense,LayerNorm}
#pragma once

#include <detente/nn/parameters.h>
#include <detente/tensor/fwd.h>

#include <cstdint>
#include <filesystem>
#include <string>

namespace detente::nn {

struct TransformerShape {
  std::int64_t width = 128;
  std::int64_t layers = 2;
  std::int64_t heads = 4;  // divides width
  std::int64_t ffn = 512;
  std::int64_t positions = 512;  // tokens of a sequence, special ones included
  std::int64_t segments = 2;

  // Of config.json in a published model's folder. Throws kIo, kData (naming what is missing or of a
  // kind that is not understood: another architecture, activation or kind of position).
  static TransformerShape read(const std::filesystem::path& folder);
};

class TransformerEncoder {
 public:
  // What it is made from must outlive it.
  TransformerEncoder(const TransformerShape& shape, const Parameters& parameters)
      : shape_(shape), parameters_(parameters) {}

  // `frozen`: of the embeddings and the layers in their order, so many are fixed.
  static void add_parameters(const TransformerShape& shape,
                             std::int64_t vocabulary,
                             std::int64_t frozen,
                             Draw& draw,
                             Parameters& parameters);
  // 0: embeddings, i + 1: layer i; anything else: layers + 1.
  static std::int64_t depth(const TransformerShape& shape, const std::string& parameter);

  // ids [B, n] int64; real [B, n] bool, false for padding; segments [B, n] int64, undefined for all 0.
  // [B, n, width]. Holds no size of its inputs (Trunk::portable_views).
  at::Tensor operator()(const at::Tensor& ids,
                        const at::Tensor& real,
                        const at::Tensor& segments,
                        Dropout& drop,
                        double dropout) const;

 private:
  at::Tensor norm(const at::Tensor& x, const std::string& name) const;
  at::Tensor attention(const at::Tensor& x,
                       const at::Tensor& blocked,
                       const std::string& name) const;

  const TransformerShape& shape_;
  const Parameters& parameters_;
};

// Copies into `parameters` what model.safetensors in a published model's folder holds under their names,
// with or without "bert." before them. Throws kIo, kData: a parameter that the file lacks, or of
// another shape.
void load_published(const std::filesystem::path& folder, Parameters& parameters);

}  // namespace detente::nn
