// SPDX-License-Identifier: Apache-2.0
#include <detente/engine/multi_task_backward.h>

namespace detente::engine {

const char* name_of(Strategy strategy) {
  switch (strategy) {
    case Strategy::kAuto:
      return "auto";
    case Strategy::kWeighted:
      return "weighted";
    case Strategy::kSequential:
      return "sequential";
    case Strategy::kSegmented:
      return "segmented";
    case Strategy::kGhost:
      return "ghost";
    case Strategy::kFeatures:
      return "features";
    case Strategy::kLockstep:
      return "lockstep";
  }
  return "?";
}

bool MultiTaskOptions::heads_weighted(balance::MethodClass method) const {
  return heads == HeadGradient::kAuto ? method == balance::MethodClass::kLoss
                                      : heads == HeadGradient::kWeighted;
}

void MultiTaskOptions::describe(FieldVisitor& visitor) {
  visitor.choice("strategy",
                 strategy,
                 {{"auto", Strategy::kAuto},
                  {"weighted", Strategy::kWeighted},
                  {"sequential", Strategy::kSequential},
                  {"segmented", Strategy::kSegmented},
                  {"ghost", Strategy::kGhost},
                  {"features", Strategy::kFeatures}},
                 "How the tasks' gradients are obtained. weighted: one backward pass of the "
                 "weighted loss, for methods that need losses only; sequential: one pass per task, "
                 "for every model; segmented: one pass where each task has its own rows of the "
                 "batch; ghost: one pass per task, without the weight gradients of layers with few "
                 "rows; features: gradients at the shared representation, a different objective; "
                 "auto: the cheapest exact one.");
  visitor.choice(
      "scale",
      scale,
      {{"native", Scale::kNative},
       {"sum_to_one", Scale::kSumToOne},
       {"sum_to_tasks", Scale::kSumToTasks},
       {"mean_norm", Scale::kMeanNorm}},
      "What the method's weights are multiplied by: nothing, or what makes their sum 1 or "
      "the number of tasks, or the direction as long as the mean gradient (methods that "
      "need gradients only).");
  visitor.choice("memory",
                 memory,
                 {{"fast", Memory::kFast}, {"low", Memory::kLow}},
                 "low: never K gradients at once, but stretches of the model one after the other "
                 "and one more backward pass; for methods that need the Gram matrix.");
  visitor.choice("heads",
                 heads,
                 {{"auto", HeadGradient::kAuto},
                  {"own_loss", HeadGradient::kOwnLoss},
                  {"weighted", HeadGradient::kWeighted}},
                 "What a task's own parameters receive: the gradient of their loss, or the task's "
                 "weight times it; auto: weighted for methods that need losses only, own_loss for "
                 "the others.");
  visitor.choice(
      "loss_scaling",
      loss_scaling,
      {{"none", LossScaling::kNone}, {"dynamic", LossScaling::kDynamic}},
      "dynamic: losses are multiplied by a large power of two in the backward passes and "
      "gradients divided by it before balancing, so that small ones survive in fp16; "
      "steps that overflow are skipped.");
  visitor.choice("passes",
                 passes,
                 {{"auto", Passes::kAuto},
                  {"in_turn", Passes::kInTurn},
                  {"side_by_side", Passes::kSideBySide}},
                 "in_turn: one backward pass after the other, all threads inside each; "
                 "side_by_side: several at once, one thread each (CPU); auto: side by side where "
                 "that keeps all threads busy.");
  visitor.integer("gram_sketch",
                  gram_sketch,
                  {.min = 0, .max = 1e6},
                  "Where all tasks look at the same examples: estimate large layers' part of the "
                  "Gram matrix by a random projection to so many columns (64, say), without the "
                  "tasks' weight gradients; 0: exact. The steps that diagnose_every names measure "
                  "the estimate (estimate_floor).");
  visitor.integer("diagnose_every",
                  diagnose_every,
                  {.min = 0},
                  "Every n-th step measures the Gram matrix and the cosines even where the method "
                  "does not need them; 0: never.");
  visitor.number("estimate_floor",
                 estimate_floor,
                 {.min = -1, .max = 1},
                 "Gram matrices estimated from a part of the batch are used while the cosine of "
                 "their direction with the exact one, measured at every diagnosed step, is at "
                 "least this; below it steps are exact.");
  visitor.number("clip_norm",
                 clip_norm,
                 {.min = 0},
                 "Largest norm over all gradients written in a step; 0: no clipping.");
}

}  // namespace detente::engine
