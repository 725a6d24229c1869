// SPDX-License-Identifier: Apache-2.0
#include <detente/autograd/layered.h>
#include <detente/autograd/lockstep.h>
#include <detente/autograd/passes.h>
#include <detente/autograd/sequential.h>
#include <detente/autograd/task_gram.h>
#include <detente/core/error.h>
#include <detente/tensor/compat.h>

#include <limits>
#include <string>
#include <vector>

namespace detente::autograd {
namespace {

Matrix gram_of(const StepTensors& step, bool low_memory) {
  TaskBlocks blocks;
  if (low_memory) {
    const auto tasks = static_cast<std::int64_t>(step.losses.size());
    form_lockstep(step, 2 * step.layout.size() / tasks, blocks);
    free_graph(step.losses);
    return blocks.gram;
  }
  LayeredGradients layered;
  std::string why;
  const bool formed = step.losses.size() > 1 && !step.shared.empty() &&
                      layered.form(step, LayeredMode::kAuto, blocks, why);
  if (!formed) form_sequential(step, blocks);
  return blocks.gram;
}

}  // namespace

Matrix task_gram(const TensorList& losses,
                 const TensorList& shared,
                 const TaskGramOptions& options) {
  TensorList present;
  std::vector<std::size_t> places;
  std::vector<std::int64_t> place_of(losses.size(), -1);
  for (std::size_t k = 0; k < losses.size(); ++k) {
    if (!losses[k].defined()) continue;
    DETENTE_CHECK(losses[k].numel() == 1,
                  ErrorCode::kShape,
                  "[autograd::task_gram] loss {} has {} numbers; expected one.",
                  k,
                  losses[k].numel());
    DETENTE_CHECK(losses[k].requires_grad(),
                  ErrorCode::kInvalidArgument,
                  "[autograd::task_gram] loss {} depends on no trainable parameter. Leave it out "
                  "(an undefined tensor).",
                  k);
    place_of[k] = static_cast<std::int64_t>(places.size());
    places.push_back(k);
    present.push_back(losses[k]);
  }
  Matrix all(losses.size(), losses.size(), std::numeric_limits<double>::quiet_NaN());
  if (present.empty()) return all;
  std::vector<std::int64_t> examples;
  for (const std::int64_t task : options.task_of_example) {
    DETENTE_CHECK(task >= -1 && task < static_cast<std::int64_t>(losses.size()),
                  ErrorCode::kInvalidArgument,
                  "[autograd::task_gram] an example belongs to task {}; expected -1 (none) to {}.",
                  task,
                  losses.size() - 1);
    examples.push_back(task < 0 ? -1 : place_of[static_cast<std::size_t>(task)]);
  }
  TensorList parameters;
  for (const auto& parameter : shared) {
    if (parameter.requires_grad()) parameters.push_back(parameter);
  }
  const tensor::FlatLayout layout(parameters);
  const std::vector<TensorList> own(present.size());
  Matrix gram;
  tensor::translate_errors("autograd::task_gram", [&] {
    gram = gram_of({present, parameters, own, layout, examples}, options.low_memory);
  });
  for (std::size_t i = 0; i < places.size(); ++i) {
    for (std::size_t j = 0; j < places.size(); ++j) all(places[i], places[j]) = gram(i, j);
  }
  return all;
}

}  // namespace detente::autograd
