// SPDX-License-Identifier: Apache-2.0
// The plain way: one backward pass per task, each gradient a row of a K×P matrix. Works for every
// model, and every other way is tested against it.
#pragma once

#include <detente/autograd/task_blocks.h>

namespace detente::autograd {

void form_sequential(const StepTensors& step, TaskBlocks& blocks);

}  // namespace detente::autograd
