// SPDX-License-Identifier: Apache-2.0
// What stands between the trunk's features and the tasks' heads: which of the layers above the features
// the tasks share, and how much. One kind works over the features of every trunk.
//
//   hard          nothing: every head sees the features themselves
//   mmoe          experts for all tasks, and for each task a gate that mixes them
//   cgc           the same with experts of a task's own beside the shared ones
//   ple           cgc in several levels
//   cross_stitch  a tower of layers per task; after each layer the towers' outputs are mixed
//
// Roles follow from what a parameter can reach: one that reaches the loss of one task alone is that task's
// own, every other is shared, and balancing methods act on the shared ones.
#pragma once

#include <detente/core/fields.h>
#include <detente/nn/parameters.h>
#include <detente/tensor/fwd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace detente::nn {

class Sharing {
 public:
  virtual ~Sharing() = default;

  virtual const char* kind() const = 0;
  // Options beside model.sharing; their names are no trunk's.
  virtual void describe(FieldVisitor& /*model*/) {}
  virtual void validate() const {}
  // Options and, when there are some, parameters: a copy has tensors of its own.
  virtual std::unique_ptr<Sharing> clone() const = 0;

  // Makes the parameters, for features [B, width] and tasks of these names.
  void build(std::int64_t width, const std::vector<std::string>& tasks, Draw& draw);

  // What heads see of features this wide.
  virtual std::int64_t width(std::int64_t features) const = 0;
  // Per task, [B, width(features)] with its graph.
  virtual TensorList operator()(const at::Tensor& features) const = 0;

  const Parameters& shared() const { return shared_; }
  const Parameters& own(std::size_t task) const { return own_.at(task); }
  void to(tensor::Device device, tensor::DType dtype);

 protected:
  // shared_ is empty and own_ has an empty entry per task.
  virtual void make(std::int64_t width, const std::vector<std::string>& tasks, Draw& draw) = 0;

  Parameters shared_;
  std::vector<Parameters> own_;  // per task
};

// The kinds, in the order of the documentation; the first is the default.
std::vector<std::string> sharing_kinds();
// Throws kInvalidArgument with the nearest name and the list.
std::unique_ptr<Sharing> make_sharing(std::string_view kind);

}  // namespace detente::nn
