// SPDX-License-Identifier: Apache-2.0
#include <detente/deploy/description.h>
#include <detente/tensor/safetensors.h>
#include <torch/types.h>

namespace detente::deploy {

std::string to_safetensors(const nn::Model& model,
                           const data::Source& fitted,
                           const AnswerNames& answer_names) {
  tensor::Metadata metadata = data::saved_files(fitted);
  metadata[kDescription] = describe(Json::array(), describe_outputs(model, answer_names));
  return tensor::to_safetensors(model.state(), metadata);
}

}  // namespace detente::deploy
