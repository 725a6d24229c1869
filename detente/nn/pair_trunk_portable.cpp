// SPDX-License-Identifier: Apache-2.0
// The pair trunk as other programs use it (Trunk::portable_views).
#include <detente/core/error.h>
#include <detente/nn/pair_trunk.h>
#include <torch/types.h>

#include <string>

namespace detente::nn {

PortableInputs PairTrunk::portable_inputs(const data::Source& /*fitted*/) const {
  DETENTE_CHECK(
      options_.mode == PairModelOptions::Mode::kSiamese,
      ErrorCode::kUnsupported,
      "[nn::PairTrunk] model.mode cross cannot leave Detente as a graph yet: the joined "
      "sequence is built from each pair's lengths. Expected mode siamese, or --to safetensors.");
  PortableInputs inputs;
  const std::string ids = "Token ids of the {} sentences, at most " +
                          std::to_string(options_.max_length) + " tokens, padded at the end with " +
                          std::to_string(vocabulary_.pad) + "; " +
                          std::to_string(vocabulary_.ids_per_token) + " a token";
  for (const char* name : {"first", "second"}) {
    std::string meaning = ids;
    meaning.replace(meaning.find("{}"), 2, name);
    inputs.list.push_back({name, {"batch", std::string(name) + "_length", ""}, meaning});
    // Two lengths and padding: what holds for one length alone would show.
    const std::int64_t length = name[0] == 'f' ? 3 : 2;
    at::Tensor example =
        torch::full({2, std::min(length, options_.max_length), vocabulary_.ids_per_token},
                    vocabulary_.pad == 0 && vocabulary_.size > 1 ? 1 : 0,
                    torch::kInt64);
    example.select(0, 1).select(0, example.size(1) - 1).fill_(vocabulary_.pad);
    inputs.examples.push_back(std::move(example));
  }
  if (numbers_ > 0) {
    inputs.list.push_back({"numbers",
                           {"batch", ""},
                           "What the text says about the pair beside its tokens, as "
                           "model.lexical_features makes it (docs/tokenizers.md)"});
    inputs.examples.push_back(torch::zeros({2, numbers_}, torch::kFloat32));
  }
  return inputs;
}

TensorList PairTrunk::portable_views(const TensorList& inputs,
                                     const data::Source& /*fitted*/) const {
  Dropout off(nullptr);
  const PairEncoder coder = encoder();
  const EncodedSide first = coder.encode(inputs.at(0), {}, off, PairEncoder::Lengths::kAny);
  const EncodedSide second = coder.encode(inputs.at(1), {}, off, PairEncoder::Lengths::kAny);
  const at::Tensor numbers = numbers_ > 0 ? inputs.at(2) : at::Tensor();
  TensorList views = {closed(compared(first, second), numbers, off)};
  if (options_.symmetric) views.push_back(closed(compared(second, first), numbers, off));
  return views;
}

}  // namespace detente::nn
