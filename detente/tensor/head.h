// SPDX-License-Identifier: Apache-2.0
// The kinds of task heads; losses say which kind they fit, models build them.
#pragma once

namespace detente {

enum class HeadKind {
  kRegression,  // one number per row; prediction [n]
  kBinary,      // one logit per row; prediction [n], target 0 or 1
  kClasses,     // one logit per class; prediction [n, classes], target 0, 1, ..., classes - 1
};

const char* name_of(HeadKind kind);  // "regression", "binary", "classes"

}  // namespace detente
