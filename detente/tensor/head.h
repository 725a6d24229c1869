// SPDX-License-Identifier: Apache-2.0
// What a head predicts per kind of task (core/task_kind.h):
//   kRegression  one number per row; prediction [n]
//   kBinary      one logit per row; prediction [n], target 0 or 1
//   kClasses     one logit per class; prediction [n, classes], target 0, 1, ..., classes - 1
//   kOrdinal     one logit per step from class to class, of "above it", falling; prediction
//                [n, classes - 1], target as of classes
//   kLabels      one logit per label; prediction and target (0 or 1) [n, labels]
// A regression of several numbers has predictions and targets [n, numbers].
#pragma once

#include <detente/core/task_kind.h>

namespace detente {

using HeadKind = TaskKind;

}  // namespace detente
