// SPDX-License-Identifier: Apache-2.0
// The K gradients of one step: for every shared parameter of n numbers a block [K, n], or what
// stands for one (the touched entries of a table, the rows of a layer whose gradients are never
// formed, columns of one matrix). All a method needs of them is their Gram matrix and, afterwards,
// one weighted sum.
//
// The only place that knows of several processes (tensor::Group): a block is complete when the
// processes' parts of it have been summed, of which each keeps its share of the columns.
#pragma once

#include <detente/autograd/column_shares.h>
#include <detente/autograd/embedding_table.h>
#include <detente/autograd/ghost_layer.h>
#include <detente/autograd/step_tensors.h>
#include <detente/core/matrix.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace detente::autograd {

// sum += factor · part, of one shape.
void add_to(Matrix& sum, const Matrix& part, double factor = 1.0);

class TaskBlocks {
 public:
  Matrix gram;                            // k×k
  std::vector<Matrix> group_grams;        // k×k per group of parameters; they add up to `gram`
  std::vector<TensorList> own_gradients;  // k lists, as `own`; undefined where not reached
  std::vector<bool> reached;              // per shared parameter: some task depends on it
  std::string notice;                     // what slowed this step down, for the user; usually empty
  bool estimated = false;                 // `gram` comes from a sketch
  bool pass_per_task = false;             // formed so; stays until the next start
  Matrix estimate;                        // with sketch_apart: what it would have been

  // What stands for blocks.
  std::vector<GhostLayer> ghosts;
  std::vector<EmbeddingTable> tables;

  // --- Forming them ---

  // Nothing formed yet: zero matrices (one per group where the step wants groups), nothing reached.
  // What `step` refers to outlives the use of the blocks.
  void start(const StepTensors& step);
  // The parameter's block, not yet written. Memory is kept between steps.
  at::Tensor make(std::size_t parameter);
  // It has none by itself: something stands for it.
  void drop(std::size_t parameter);
  // All blocks as one matrix [K, P], the same way; or as a matrix that is there.
  at::Tensor make_matrix();
  void use_matrix(const at::Tensor& rows);
  at::Tensor block(std::size_t parameter) const { return blocks_[parameter]; }
  at::Tensor matrix() const { return matrix_; }

  // The block has all of this process's gradients: adds its part of the Gram matrix.
  void complete(std::size_t parameter);
  void complete_matrix();
  // One task's whole gradient [P], where tasks come one after the other and all processes do the same:
  // the others add theirs, and nothing but the own columns is kept.
  void share_row(std::size_t task, const at::Tensor& row);
  // The same for gradients that are not kept: the blocks of `parameters` side by side.
  void complete_and_drop(const at::Tensor& rows, const std::vector<int>& parameters);
  // What a parameter adds to the Gram matrix.
  void add(std::size_t parameter, const Matrix& part);
  // Ghosts and tables, and what the processes have to tell each other, after all blocks.
  void finish();

  // --- Using them, once finished ---

  // What the batch touched of an embedding table.
  struct TableGradient {
    std::size_t parameter;
    at::Tensor ids;     // [U] ascending
    at::Tensor values;  // [U, d]
  };
  // d = Σ_k w_k ∇L_k into `direction` [P]. With `tables` those of embeddings go there where they
  // are known by themselves, and their part of `direction` is left as it was.
  void combine(const ParameterWeights& weights,
               at::Tensor& direction,
               std::vector<TableGradient>* table_gradients = nullptr) const;
  // The gradients themselves into `rows` [k, P]; after forming in full.
  void write_to(const at::Tensor& rows) const;
  // Drops what belongs to the step.
  void release();

 private:
  void start_gram();
  void combine_matrix(const ParameterWeights& weights, at::Tensor& direction) const;
  void combine_ghost(const GhostLayer& ghost,
                     const ParameterWeights& weights,
                     at::Tensor& direction) const;
  at::Tensor piece(const at::Tensor& direction, std::size_t parameter) const;
  void share_out();
  void agree();

  std::optional<StepTensors> step_;
  // Per parameter with a block by itself, one after the other so that equal segments are one
  // batched product.
  TensorList blocks_;
  ColumnShares shares_;     // with several processes
  at::Tensor matrix_room_;  // [K, P]
  at::Tensor matrix_;
  bool kept_ = false;  // there are blocks, or a matrix of them
};

}  // namespace detente::autograd
