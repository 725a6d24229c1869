// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/deploy/description.h>
#include <detente/tensor/safetensors.h>
#include <torch/types.h>

namespace detente::deploy {

std::string to_safetensors(const nn::Model& model,
                           const data::Source& fitted,
                           const AnswerNames& answer_names) {
  tensor::Metadata metadata = data::saved_files(fitted);
  for (const auto& [name, content] : metadata) {
    DETENTE_CHECK(!name.ends_with(".npy"),
                  ErrorCode::kUnsupported,
                  "[deploy::to_safetensors] what the training data taught is more than text ({}), "
                  "which a safetensors file has no place for; the run's own model.safetensors has "
                  "the parameters.",
                  name);
  }
  metadata[kDescription] = describe(Json::array(), describe_outputs(model, answer_names));
  return tensor::to_safetensors(model.state(), metadata);
}

}  // namespace detente::deploy
