// SPDX-License-Identifier: Apache-2.0
// Tokens and their ids. The file form is BERT's vocab.txt: one token a line, id = line number - 1.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace detente::text {

// Ids of the tokens with a meaning of their own. Vocabularies made here have them in this order;
// a file from elsewhere may have them anywhere, so read them from the vocabulary.
struct SpecialIds {
  std::int32_t pad = 0;   // [PAD]
  std::int32_t unk = 1;   // [UNK]
  std::int32_t cls = 2;   // [CLS]
  std::int32_t sep = 3;   // [SEP]
  std::int32_t mask = 4;  // [MASK]
};

class Vocabulary {
 public:
  // The five special tokens alone.
  Vocabulary();
  // Tokens in the order of their ids. Throws kData for an empty or repeated token or when a special
  // token is missing; `source` names the origin in the message.
  Vocabulary(std::vector<std::string> tokens, const std::string& source);
  // Throws kIo or kData, with the line.
  static Vocabulary read(const std::filesystem::path& path);

  // vocab.txt, ready to be written.
  std::string to_text() const;

  std::size_t size() const { return tokens_.size(); }
  const std::string& token(std::int32_t id) const { return tokens_.at(static_cast<size_t>(id)); }
  const std::vector<std::string>& tokens() const { return tokens_; }
  // -1 when there is no such token.
  std::int32_t find(std::string_view token) const;
  const SpecialIds& special() const { return special_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const { return std::hash<std::string_view>{}(s); }
  };
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, std::int32_t, Hash, std::equal_to<>> ids_;
  SpecialIds special_;
};

}  // namespace detente::text
