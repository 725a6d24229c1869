// SPDX-License-Identifier: Apache-2.0
#include <detente/deploy/recording.h>

#include <sstream>

namespace detente::deploy {
namespace {

namespace jit = torch::jit;

// A task's name as a literal: whatever it holds, as octal.
std::string literal(const std::string& name) {
  std::string text = "\"";
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == ' ' || byte >= 0x80;
    if (plain) {
      text += c;
      continue;
    }
    text += '\\';
    for (const int shift : {6, 3, 0}) text += static_cast<char>('0' + ((byte >> shift) & 7));
  }
  return text + "\"";
}

}  // namespace

std::string to_torchscript(const nn::Model& model,
                           const data::Source& fitted,
                           const AnswerNames& answer_names) {
  const Recording recording = record(model, fitted, answer_names);

  // Answers by name: a tuple's order is easily mistaken.
  jit::Module outer("detente.Model");
  outer.register_module("network", recording.network);
  std::string parameters;
  std::string arguments;
  for (const nn::PortableInput& input : recording.inputs.list) {
    parameters += ", " + input.name + ": Tensor";
    arguments += (arguments.empty() ? "" : ", ") + input.name;
  }
  std::string entries;
  for (std::size_t k = 0; k < recording.tasks.size(); ++k) {
    entries +=
        (k == 0 ? "" : ", ") + literal(recording.tasks[k]) + ": y[" + std::to_string(k) + "]";
  }
  outer.define("def forward(self" + parameters +
               ") -> Dict[str, Tensor]:\n  y = self.network.forward(" + arguments +
               ")\n  return {" + entries + "}\n");
  outer.eval();
  jit::ExtraFilesMap files(recording.files.begin(), recording.files.end());
  std::ostringstream out;
  outer.save(out, files);
  return std::move(out).str();
}

}  // namespace detente::deploy
