// SPDX-License-Identifier: Apache-2.0
// What a head predicts per kind of task (core/task_kind.h):
//   kRegression  one number per row; prediction [n]
//   kBinary      one logit per row; prediction [n], target 0 or 1
//   kClasses     one logit per class; prediction [n, classes], target 0, 1, ..., classes - 1
#pragma once

#include <detente/core/task_kind.h>

namespace detente {

using HeadKind = TaskKind;

}  // namespace detente
