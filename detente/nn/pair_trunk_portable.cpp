// SPDX-License-Identifier: Apache-2.0
// The pair trunk as other programs use it (Trunk::portable_views).
#include <detente/nn/pair_trunk.h>
#include <torch/types.h>

#include <string>

namespace detente::nn {

PortableInputs PairTrunk::portable_inputs(const data::Source& /*fitted*/) const {
  PortableInputs inputs;
  if (options_.mode == PairModelOptions::Mode::kCross) {
    add_joined_inputs(inputs);
    add_number_input(inputs);
    return inputs;
  }
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
  add_number_input(inputs);
  return inputs;
}

// One sequence of both sentences, which whoever uses the model puts together.
void PairTrunk::add_joined_inputs(PortableInputs& inputs) const {
  inputs.list.push_back(
      {"joined",
       {"batch", "joined_length", ""},
       "Token ids of [CLS] (" + std::to_string(vocabulary_.cls) + "), the first sentence, [SEP] (" +
           std::to_string(vocabulary_.sep) + "), the second and [SEP], of each sentence at most " +
           std::to_string(options_.max_length) + " tokens, padded at the end with " +
           std::to_string(vocabulary_.pad) + "; " + std::to_string(vocabulary_.ids_per_token) +
           " a token, [CLS] and [SEP] repeated"});
  at::Tensor ids = torch::full({2, 5, vocabulary_.ids_per_token}, vocabulary_.sep, torch::kInt64);
  ids.select(1, 0).fill_(vocabulary_.cls);
  ids.select(0, 1).select(0, 4).fill_(vocabulary_.pad);
  inputs.examples.push_back(std::move(ids));
  inputs.list.push_back({"segments",
                         {"batch", "joined_length"},
                         "0 up to the first [SEP], 1 from there to the end, padding included"});
  at::Tensor segments = torch::ones({2, 5}, torch::kInt64);
  segments.slice(1, 0, 3).zero_();
  inputs.examples.push_back(std::move(segments));
}

void PairTrunk::add_number_input(PortableInputs& inputs) const {
  if (numbers_ == 0) return;
  inputs.list.push_back({"numbers",
                         {"batch", ""},
                         "What the text says about the pair beside its tokens, as "
                         "model.lexical_features makes it (docs/tokenizers.md)"});
  inputs.examples.push_back(torch::zeros({2, numbers_}, torch::kFloat32));
}

TensorList PairTrunk::portable_views(const TensorList& inputs,
                                     const data::Source& /*fitted*/) const {
  Dropout off(nullptr);
  const PairEncoder coder = encoder();
  if (options_.mode == PairModelOptions::Mode::kCross) {
    const EncodedSide side =
        coder.encode(inputs.at(0), inputs.at(1), off, PairEncoder::Lengths::kAny);
    return {closed({parameters_.norm(side.pooled, "features.norm")},
                   numbers_ > 0 ? inputs.at(2) : at::Tensor(),
                   off)};
  }
  const EncodedSide first = coder.encode(inputs.at(0), {}, off, PairEncoder::Lengths::kAny);
  const EncodedSide second = coder.encode(inputs.at(1), {}, off, PairEncoder::Lengths::kAny);
  const at::Tensor numbers = numbers_ > 0 ? inputs.at(2) : at::Tensor();
  TensorList views = {closed(compared(first, second), numbers, off)};
  if (options_.symmetric) views.push_back(closed(compared(second, first), numbers, off));
  return views;
}

}  // namespace detente::nn
