// SPDX-License-Identifier: Apache-2.0
// Sentence pairs (data/pairs.h) as a source. Fitted: the tokenizer and document frequencies.
//
// Arrays of a batch: "first" and "second" [B, n] int32, token ids padded at the end, "first_length"
// and "second_length" [B] int32; with lexical features "numbers" [B, k] float.
#pragma once

#include <detente/data/pairs.h>
#include <detente/data/source.h>
#include <detente/text/lexical.h>
#include <detente/text/tokenizer.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace detente::data {

class PairSource : public Source {
 public:
  const char* kind() const override { return "pairs"; }
  void describe(FieldVisitor& data) override;
  void describe_sections(FieldVisitor& recipe) override;
  void resolve_paths(const std::filesystem::path& folder) override;
  bool standard_targets() const override { return false; }
  bool takes_sources() const override { return true; }
  bool reads_records() const override { return true; }
  std::vector<std::string> named_inputs() const override;
  std::vector<std::string> named_files() const override { return {tokenizer_options_.vocab}; }
  std::unique_ptr<Source> fresh() const override;

  std::size_t size() const override { return data_.size(); }
  std::span<const std::size_t> costs() const override { return lengths_; }
  Batch batch(std::span<const std::size_t> rows, const Rng* augment) const override;
  void save(const std::filesystem::path& run) const override;
  void load(const std::filesystem::path& run) override;
  std::vector<ShownColumn> shown() const override;
  std::vector<std::string> notes() const override;
  std::vector<InputColumn> input_columns() const override;
  // "overlap" of character pairs and the "tf-idf" cosine of the tokens.
  std::vector<UntrainedScore> untrained_scores() const override;

  // What the network asks for, before reading.
  void set_max_length(std::size_t tokens) { max_length_ = tokens; }
  void set_lexical(bool lexical) { lexical_ = lexical; }
  std::size_t max_length() const { return max_length_; }
  bool has_pairs() const { return !text_b_.empty(); }
  // kInvalidArgument for a sentence without a column.
  void check_two_texts() const;

  // kInternal before reading or loading.
  const text::Tokenizer& tokenizer() const;
  const text::IdfTable& idf() const { return idf_; }
  const PairData& pairs() const { return data_; }
  std::size_t numbers() const;  // beside each pair
  // A batch of texts that belong to no row, as arrays "first" and "first_length". Their ids are the
  // tokenizer's, at most max_length tokens each.
  Batch batch_of(const std::vector<std::vector<std::int32_t>>& texts) const;

 protected:
  void read_rows(const SourceInput& input, const Source* fitted) override;

  // For sources of one text: the columns, their description, the options of another.
  void set_columns(std::string first, std::string second);
  void describe_columns(FieldVisitor& data, bool pairs);
  void take_options(const PairSource& other);

 private:
  std::string text_a_ = "sentence1";
  std::string text_b_ = "sentence2";
  bool cache_ = true;
  text::TokenizerOptions tokenizer_options_;
  std::size_t max_length_ = 64;
  bool lexical_ = false;

  std::shared_ptr<const text::Tokenizer> tokenizer_;
  text::IdfTable idf_;  // over the training sentences
  PairData data_;
  std::vector<std::size_t> lengths_;
};

}  // namespace detente::data
