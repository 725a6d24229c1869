// SPDX-License-Identifier: Apache-2.0
#include <ATen/Context.h>
#include <detente/train/deterministic.h>

#include <cstdlib>

namespace detente::train {

DeterministicAlgorithms::DeterministicAlgorithms(tensor::Device device)
    : was_on_(at::globalContext().deterministicAlgorithms()),
      only_warned_(at::globalContext().deterministicAlgorithmsWarnOnly()) {
  if (device.cuda) ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*replace=*/0);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
}

DeterministicAlgorithms::~DeterministicAlgorithms() {
  at::globalContext().setDeterministicAlgorithms(was_on_, only_warned_);
}

}  // namespace detente::train
