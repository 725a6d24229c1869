// SPDX-License-Identifier: Apache-2.0
// What a model takes and answers once it has left Detente (detente/deploy): tensors that a program in
// another language can make of its own examples.
#pragma once

#include <detente/tensor/fwd.h>

#include <string>
#include <vector>

namespace detente::nn {

struct PortableInput {
  std::string name;  // an identifier: "numbers"
  std::vector<std::string>
      axes;             // the name of a dimension that may have any size; empty: a fixed one
  std::string meaning;  // one sentence
};

struct PortableInputs {
  std::vector<PortableInput> list;
  // As many tensors as inputs: two examples or more, dtype and fixed sizes as every later one.
  TensorList examples;
  // Others to compare the recorded model on, with other sizes wherever those may change; empty: the
  // examples three times over, along the first dimension.
  TensorList others;
};

}  // namespace detente::nn
