// SPDX-License-Identifier: Apache-2.0
// A trained model as one file that is used without Detente.
//
//   safetensors   the parameters by name, no graph
//   torchscript   torch.jit.load in Python, torch::jit::load in C++
//   onnx          ONNX Runtime and whatever else reads opset 17
//
// Inputs are the trunk's (nn/trunk.h, portable_inputs), by name. Outputs, one per task and by its name:
// the value [B] of a regression, the probability of class 1 [B], the probabilities [B, classes], the
// values or the labels' probabilities [B, outputs]. As Model::predict, the answer is that of the mean of the
// trunk's views.
//
// All carry, as text under these names, what the inputs are made with: "detente.json" describes
// inputs and outputs, and every file that the data's source saves in a run ("columns.json", ...) stands
// under its path there. In TorchScript they are extra files, in the others metadata.
#pragma once

#include <detente/data/source.h>
#include <detente/nn/model.h>

#include <string>
#include <vector>

namespace detente::deploy {

// Per head, of its classes, labels or values; empty where they have no names.
using AnswerNames = std::vector<std::vector<std::string>>;

// The bytes of the file. `fitted` has read training rows or loaded what they taught; the model may be on
// any device and stays as it is. Throws kUnsupported for a trunk without a portable form, and kInternal
// when the recorded model does not answer as this one does.
std::string to_torchscript(const nn::Model& model,
                           const data::Source& fitted,
                           const AnswerNames& answer_names);

// Of every trunk; no inputs are described.
std::string to_safetensors(const nn::Model& model,
                           const data::Source& fitted,
                           const AnswerNames& answer_names);

// As to_torchscript; also throws kUnsupported naming an operation that has no ONNX form here.
std::string to_onnx(const nn::Model& model,
                    const data::Source& fitted,
                    const AnswerNames& answer_names);

}  // namespace detente::deploy
