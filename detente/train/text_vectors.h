// SPDX-License-Identifier: Apache-2.0
// A run of texts or sentence pairs as an encoder: texts in, vectors out whose cosine says how alike the run's
// network finds them (nn/text_vectors.h).
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace detente::train {

class TextVectors {
 public:
  // Throws what load_run throws, and kUnsupported for a run whose network makes no vector of a single text.
  explicit TextVectors(const std::filesystem::path& run);
  ~TextVectors();

  // "run " and a hash of the model's file: vectors of encoders with one name can be compared.
  const std::string& name() const { return name_; }
  // One of length 1 for each text, or of zeros where the tokenizer finds nothing in it. A text of more tokens than the
  // network takes (model.max_length) is cut into pieces of that length, and has the mean of their vectors, each of
  // length 1, by their numbers of tokens. Threads may call.
  std::vector<std::vector<double>> of(std::span<const std::string> texts) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::string name_;
};

}  // namespace detente::train
