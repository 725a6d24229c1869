// SPDX-License-Identifier: Apache-2.0
// What no training at all reaches: a plain likeness of the two sentences as the prediction.
#pragma once

#include <detente/core/json.h>
#include <detente/text/lexical.h>
#include <detente/text/tokenizer.h>
#include <detente/train/recipe.h>

#include <functional>
#include <string_view>

namespace detente::train {

// A number that grows with the likeness of two sentences.
using PairScore = std::function<double(std::string_view a, std::string_view b)>;

// Overlap of character pairs (text::bigram_jaccard).
PairScore overlap_score();
// Cosine of the tf·idf vectors of a run's tokens; both must outlive the score.
PairScore tfidf_score(const text::Tokenizer& tokenizer, const text::IdfTable& idf);

// {TASK: {METRIC: value}} on the recipe's validation file. Regression tasks: Pearson and Spearman
// (blind to scale) and, with positive_from, F1; binary tasks: F1 and accuracy. The threshold on the
// score is the one with the best F1 on the training file. Other metrics and class tasks are left
// out. Throws as the data readers do; null for single sentences.
Json lexical_baseline(const Recipe& recipe, const PairScore& score);

}  // namespace detente::train
