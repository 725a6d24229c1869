// SPDX-License-Identifier: Apache-2.0
// A recipe's data, read and encoded, and the rows of a batch as the model wants them.
#pragma once

#include <detente/data/pairs.h>
#include <detente/nn/pair_model.h>
#include <detente/tensor/fwd.h>
#include <detente/text/lexical.h>
#include <detente/text/tokenizer.h>
#include <detente/train/recipe.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace detente::train {

struct Corpus {
  std::unique_ptr<text::Tokenizer> tokenizer;
  text::IdfTable idf;  // over the training sentences
  data::PairData train;
  data::PairData dev;
};

// Reads both files, makes the tokenizer from the training sentences and encodes them. `cache` is
// the folder for encoded sentences, empty for none.
Corpus load_corpus(const Recipe& recipe, const std::filesystem::path& cache);

// The same columns of another file with an existing tokenizer. With `targets` false the file needs
// the text columns only (prediction).
data::PairData load_rows(const Recipe& recipe,
                         const data::Table& table,
                         const text::Tokenizer& tokenizer,
                         const text::IdfTable& idf,
                         const std::filesystem::path& cache,
                         bool targets);

// How many numbers beside the sentences the model takes per pair.
std::int64_t extra_feature_count(const Recipe& recipe);

// Views into `data`, which must outlive the batch.
nn::PairBatch make_pair_batch(const data::PairData& data, std::span<const std::size_t> rows);

// One tensor [rows] per task, NaN where missing, of the given precision.
TensorList make_targets(const data::PairData& data,
                        std::span<const std::size_t> rows,
                        tensor::Device device,
                        tensor::DType dtype);

}  // namespace detente::train
