// SPDX-License-Identifier: Apache-2.0
// Token ids on disk, so that a second run need not tokenize again. The key covers the texts, the
// tokenizer and the length limit; whatever is wrong with a cache file, it is simply not used.
#pragma once

#include <detente/text/tokenizer.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace detente::data {

// FNV-1a over the texts, their lengths included.
std::uint64_t hash_texts(std::span<const std::string_view> texts, std::uint64_t seed = 0);

struct EncodedTexts {
  std::vector<std::vector<std::int32_t>> ids;
  std::uint64_t truncated = 0;
};

// Encodes every text and cuts it to `max_length` tokens; a text without tokens becomes [UNK].
EncodedTexts encode_texts(std::span<const std::string_view> texts,
                          const text::Tokenizer& tokenizer,
                          std::size_t max_length);

std::uint64_t encoding_key(std::span<const std::string_view> texts,
                           const text::Tokenizer& tokenizer,
                           std::size_t max_length);
std::filesystem::path encoding_path(const std::filesystem::path& folder, std::uint64_t key);

// Empty when there is no file, or one that is damaged, foreign or of another key.
std::optional<EncodedTexts> read_encoding(const std::filesystem::path& path, std::uint64_t key);
// Atomically; throws kIo.
void write_encoding(const std::filesystem::path& path,
                    std::uint64_t key,
                    const EncodedTexts& encoded);

}  // namespace detente::data
