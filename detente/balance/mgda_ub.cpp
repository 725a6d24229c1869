// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/method_info.h>
#include <detente/balance/mgda_ub.h>

namespace detente::balance {

// make_mgda_ub() stands in mgda.cpp: the method is the same, only its gradients are others.
MethodInfo mgda_ub_info() {
  return {.name = "mgda_ub",
          .title = "Multiple-gradient descent, upper bound",
          .summary =
              "mgda on the gradients at the shared representation: one pass through the "
              "trunk instead of k.",
          .when =
              "As mgda, when its k passes through a large shared trunk cost too much; the "
              "guarantee to harm no task is lost.",
          .paper = "Sener, Koltun, NeurIPS 2018, arXiv 1810.04650",
          .method_class = MethodClass::kGram,
          .laws = kCommonLaws | kNonConflicting | kSimplex | kSingleTaskIdentity |
                  kIdenticalRowsIdentity | kDuplicateInvariant,
          .make = &make_mgda_ub};
}

}  // namespace detente::balance
