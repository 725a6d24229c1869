// SPDX-License-Identifier: Apache-2.0
// The model of a recipe before its first step.
#pragma once

#include <detente/nn/pair_model.h>
#include <detente/text/lexical.h>
#include <detente/text/tokenizer.h>
#include <detente/train/corpus.h>
#include <detente/train/recipe.h>

#include <memory>

namespace detente::train {

// With the parameters that the recipe's seed draws, on the CPU, in float32.
std::unique_ptr<nn::PairModel> make_model(const Recipe& recipe,
                                          const text::Tokenizer& tokenizer,
                                          const text::IdfTable& idf);

// What the training rows say before any training: the scale of the extra numbers, each head's best
// constant answer, and with embedding_init ppmi the embeddings.
void start_from_data(const Recipe& recipe, const Corpus& corpus, nn::PairModel& model);

}  // namespace detente::train
