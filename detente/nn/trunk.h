// SPDX-License-Identifier: Apache-2.0
// The shared part of a network: examples of a source in, features for all heads out.
//
// Three states: options alone (a recipe's), with parameters (build: from what the source was fitted
// to), with the training examples' statistics in them (start_from). A saved model needs the first
// two; its parameters come from the file.
#pragma once

#include <detente/core/fields.h>
#include <detente/core/rng.h>
#include <detente/data/source.h>
#include <detente/nn/parameters.h>
#include <detente/nn/portable.h>
#include <detente/tensor/fwd.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace detente::nn {

class Trunk {
 public:
  virtual ~Trunk() = default;

  virtual const char* kind() const = 0;  // "pairs", "mlp", "convnet", "gcn", "unet", "joined"
  // Before describe: options that a kind of data decides take their values.
  virtual void suit(const data::Source& /*options*/) {}
  virtual void describe(FieldVisitor& model) = 0;
  // Rules between fields; throws kInvalidArgument.
  virtual void validate() const {}
  // Makes paths in the options absolute; options that a file there decides take its values, so that a
  // recipe written afterwards needs the file no more. Throws kIo, kData.
  virtual void resolve_paths(const std::filesystem::path& /*folder*/) {}
  // Options and, when there are some, parameters.
  virtual std::unique_ptr<Trunk> clone() const = 0;

  // Tells the source, before it reads, what this trunk wants of it. Throws kInvalidArgument for a
  // source whose examples it cannot take.
  virtual void prepare(data::Source& source) const = 0;
  // Makes the parameters for a source that has read training examples or loaded what they taught.
  virtual void build(const data::Source& fitted, Draw& draw) = 0;
  // What the training examples say before any training. `rng` is for this alone.
  virtual void start_from(const data::Source& /*training*/, Rng& /*rng*/) {}

  // What start_from is about to do, when it takes long enough to say so; else empty.
  virtual std::string long_start() const { return {}; }

  // Whether features are maps, which tasks with an answer for each pixel need.
  virtual bool maps() const { return false; }
  // Whether each task has features, and parameters, of its own: own() and task_features() then have an
  // entry for each.
  virtual bool per_task() const { return false; }
  // The tasks' names, before build.
  virtual void set_tasks(const std::vector<std::string>& /*names*/) {}

  virtual std::int64_t width() const = 0;
  // [B, width], or maps [B, width, H, W], with its graph. Dropout and whatever else is random in training are on exactly when
  // `random` is given; their bits come from there alone. kShape for an empty batch.
  virtual at::Tensor features(const data::Batch& batch, Rng* random = nullptr) const = 0;
  // The same for each task; one entry where all share theirs.
  virtual TensorList task_features(const data::Batch& batch, Rng* random = nullptr) const;
  // The features whose predictions are averaged when the model is used: one, unless a trunk looks
  // at its examples in several ways.
  virtual TensorList views(const data::Batch& batch) const;

  // For files that other programs read: what such a model takes, and the views of it. The views are
  // made with LibTorch's operations on those tensors alone, none of which depends on their values or
  // on a size that may change, because they are recorded once (detente/deploy). A trunk with features
  // for each task gives those in place of views. Throws kUnsupported,
  // with the reason, where there is no such form.
  virtual PortableInputs portable_inputs(const data::Source& fitted) const;
  virtual TensorList portable_views(const TensorList& inputs, const data::Source& fitted) const;

  // The learning rate of each of parameters().trained() as a share of the recipe's; empty: all 1.
  virtual std::vector<double> learning_rates() const { return {}; }

  // Makes new parameters; lists taken before are no longer this trunk's.
  virtual void to(tensor::Device device, tensor::DType dtype);

  const Parameters& parameters() const { return parameters_; }
  // Of single tasks, by names that differ.
  const std::vector<Parameters>& own() const { return own_; }

 protected:
  Parameters parameters_;
  std::vector<Parameters> own_;
};

// The kinds, in the order of the documentation.
std::vector<std::string> trunk_kinds();
// Those that take a kind of data; the first is its default.
std::vector<std::string> trunk_kinds(std::string_view source_kind);
// The kind that takes a kind of data when a recipe names none.
const char* default_trunk(std::string_view source_kind);
// Throws kInvalidArgument with the nearest name and the list.
std::unique_ptr<Trunk> make_trunk(std::string_view kind);

// A batch's array as a tensor on the host: int32 becomes int64, the others keep their type.
at::Tensor tensor_of(const data::Array& array);

}  // namespace detente::nn
