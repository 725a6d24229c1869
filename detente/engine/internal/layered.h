// SPDX-License-Identifier: Apache-2.0
// Per-task gradients layer by layer. Two cases:
//   segmented: every task has its own examples in one joint batch, so one backward pass of the
//     summed losses carries all tasks' output gradients, each in its own rows, and a layer's weight
//     gradient is formed per task from those rows: the arithmetic of plain training;
//   ghost: all tasks look at the same examples, so K passes through the layers are needed, but a
//     layer with few rows needs no weight gradient in them: its part of the Gram matrix follows
//     from inputs and output gradients, and one weighted weight gradient follows the solve.
// Embeddings keep the gradients of the entries that the batch touches and nothing else.
#pragma once

#include <detente/engine/internal/graph.h>
#include <detente/engine/internal/layers.h>
#include <detente/engine/internal/row_chain.h>
#include <detente/engine/internal/task_gradients.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace detente::engine::internal {

enum class LayeredMode {
  kAuto,  // segmented where the tasks have rows of their own, else ghost where its cost rule says
          // so
  kSegmented,
  kGhost,  // every layer that allows it
};

class LayeredGradients {
 public:
  // False, having done nothing that lasts, when the graph does not allow it; `why` then says so.
  bool form(const StepTensors& step, LayeredMode mode, TaskGradients& result, std::string& why);

  // What the batch touched of an embedding table.
  struct TableGradient {
    std::size_t parameter;
    at::Tensor ids;     // [U] ascending
    at::Tensor values;  // [U, d]
  };

  // d = Σ_k w_k ∇L_k into `direction` [P]; once per step, after forming. With `tables` those of
  // embeddings go there, and their part of `direction` is left as it was.
  void combine(const ParameterWeights& weights,
               at::Tensor& direction,
               std::vector<TableGradient>* tables = nullptr);
  // The gradients themselves into `rows` [k, P], instead of combine(); after forming in full.
  void write_rows(const at::Tensor& rows) const;
  // Which of the two the last form() was.
  bool segmented() const { return segmented_; }
  // Drops what belongs to the step.
  void release();

 private:
  enum class Form {
    kNamed,    // LibTorch computes the whole gradient, copied into a row of the matrix
    kDirect,   // computed from the layer straight into a row
    kGhost,    // never formed per task
    kCompact,  // embedding: touched entries only
  };
  // Uses of one weight by one kind of layer.
  struct Group {
    int weight = -1;
    int bias = -1;  // -1 where it is formed apart
    std::vector<std::size_t> uses;
    at::Tensor rows;        // ghost: x of all uses
    TensorList gradients;   // ghost: per task, δ of all uses
    bool sketched = false;  // their part of the Gram matrix is estimated:
    TensorList projected;   // per use, xΩ [R, n]
    at::Tensor sketch;      // [K, out·n], per task δᵀxΩ, see add_narrow_product
  };
  // What one run of LibTorch's engine per task goes through; places in captured_ and named_, and
  // the parameters with rows of their own (kDirect, kNamed) that are complete after it.
  struct Part {
    std::vector<std::size_t> captured;
    std::vector<std::size_t> named;
    std::vector<int> blocks;
    std::vector<Edge> border;  // where the next one starts; empty for the last
  };
  struct Table {
    int weight = -1;
    std::vector<std::size_t> uses;
    at::Tensor ids;     // [U] entries that were touched
    TensorList places;  // per use, [R]: position in ids, -1 padding
    at::Tensor values;  // [K, U, d]
  };

  enum class GhostRule { kByCost, kAlways, kNever };

  void start(const StepTensors& step, TaskGradients& result);
  bool find_rows(TaskGradients& result);
  bool form_segmented(TaskGradients& result, std::string& why);
  TensorList pass_segments(const std::function<LinkRows(const LayerUse&)>& rows_of,
                           TaskGradients& result);
  bool form_ghost(GhostRule rule, TaskGradients& result);
  void choose_forms(bool segmented, GhostRule rule);
  bool ghost_pays(const Group& group, GhostRule rule) const;
  bool sketch_pays(const Group& group, GhostRule rule) const;
  at::Tensor projection_of(const Group& group) const;
  void prepare_sketches();
  void add_sketch(const Group& group, TaskGradients& result);
  void place();
  std::vector<Part> parts() const;
  at::Tensor task_rows(int parameter) const;  // [K, n] where formed by hand
  void take_pass(std::size_t task, const Part& part, const TensorList& found);
  void add_embeddings(std::size_t use, const at::Tensor& gradient, int task);
  void prepare_tables();
  void add_gram(const Matrix& part, int parameter, TaskGradients& result) const;
  void add_block_gram(int parameter, TaskGradients& result) const;
  void finish(TaskGradients& result);
  static at::Tensor weighted_rows(const Group& group, const std::vector<double>& weights);

  std::optional<StepTensors> step_;  // refers to what outlives the step
  bool segmented_ = false;
  Graph graph_;
  std::vector<LayerInput> inputs_;  // per use
  std::vector<Form> forms_;         // per parameter
  std::vector<Group> groups_;
  std::vector<Table> tables_;
  std::vector<std::size_t> captured_;  // uses whose output gradient is asked for
  std::vector<int> named_;             // parameters asked for by name
  std::vector<Edge> found_edges_;      // where the passes of find_rows() ended,
  TensorList found_gradients_;         // with the sum of the tasks' gradients there
  int rows_sought_ = 0;                // steps in a row without success
  // Per parameter with a row per task: those rows [K, n], one parameter after the other so that
  // equal segments are one batched product. Kept between steps.
  TensorList blocks_;
};

}  // namespace detente::engine::internal
