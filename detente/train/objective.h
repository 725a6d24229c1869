// SPDX-License-Identifier: Apache-2.0
// What a model learns beside or instead of its tasks' labels (train.objective), and the options of
// that in a recipe. An objective is a class with its losses in a file of its own, and a line in the
// registry at the end of objective.cpp.
#pragma once

#include <detente/core/fields.h>
#include <detente/data/views.h>
#include <detente/train/loss_context.h>
#include <detente/train/loss_source.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace detente::train {

class Objective {
 public:
  virtual ~Objective() = default;

  virtual const char* kind() const = 0;  // "supervised", "dino", "ddgsd", "mutual"
  // The options, in a section of the objective's name within `train`.
  virtual void describe(FieldVisitor& train) = 0;
  // Whether there must be a supervised task.
  virtual bool needs_tasks() const { return true; }
  // Rules between keys, once the whole recipe is read. Throws kInvalidArgument, opened by `where`.
  virtual void check(const Recipe& recipe, const std::string& where) const;
  // Whether losses() also has those of the tasks' labels.
  virtual bool takes_labels() const { return false; }
  // The views of an image of `shape` that losses() draws in a step, as a page calls them; none: it
  // draws none.
  struct View {
    std::string name;
    data::ViewOptions options;
  };
  virtual std::vector<View> views(const data::ImageShape& /*shape*/) const { return {}; }
  // Null: none beside the labels'.
  virtual std::unique_ptr<LossSource> losses(const LossContext& context) const = 0;
};

// In the order of the documentation.
std::vector<std::string> objective_names();
// Throws kInvalidArgument with the nearest name and the list.
std::shared_ptr<Objective> make_objective(const std::string& name);

}  // namespace detente::train
