// SPDX-License-Identifier: Apache-2.0
// A model recorded once as a graph of LibTorch's operations, from the tensors it takes to the answers
// of its tasks. Inside detente/deploy only.
#pragma once

#include <detente/core/json.h>
#include <detente/deploy/portable_model.h>
#include <detente/nn/portable.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace detente::deploy {

struct Recording {
  nn::PortableInputs inputs;
  std::vector<std::string> tasks;
  // (network, inputs...) to one tuple of the tasks' answers.
  std::shared_ptr<torch::jit::Graph> graph;
  // What the graph's first input stands for: parameters, with "_" for "."; and the graph as forward.
  torch::jit::Module network;
  // "detente.json" and the source's own files, by path.
  std::map<std::string, std::string> files;
};

Recording record(const nn::Model& model,
                 const data::Source& fitted,
                 const AnswerNames& answer_names);

}  // namespace detente::deploy
