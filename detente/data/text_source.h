// SPDX-License-Identifier: Apache-2.0
// Single texts as a source: sentence pairs (data/pair_source.h) without their second sentence, so that
// tokenizer, cache, targets and files are the same. Fitted: the tokenizer and document frequencies.
//
// Arrays of a batch: "first" [B, n] int32, token ids padded at the end, "first_length" [B] int32.
#pragma once

#include <detente/data/pair_source.h>

#include <memory>

namespace detente::data {

class TextSource final : public PairSource {
 public:
  TextSource();

  const char* kind() const override { return "text"; }
  void describe(FieldVisitor& data) override;
  bool standard_targets() const override { return true; }
  std::unique_ptr<Source> fresh() const override;
};

}  // namespace detente::data
