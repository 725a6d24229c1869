// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/text/unicode.h>
#include <detente/text/vocabulary.h>

#include <limits>

namespace detente::text {

Vocabulary::Vocabulary() : Vocabulary({"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}, "built in") {}

Vocabulary::Vocabulary(std::vector<std::string> tokens, const std::string& source)
    : tokens_(std::move(tokens)) {
  DETENTE_CHECK(tokens_.size() <= std::numeric_limits<std::int32_t>::max(),
                ErrorCode::kData,
                "[text::Vocabulary] {} has {} tokens; expected at most 2147483647.",
                source,
                tokens_.size());
  ids_.reserve(tokens_.size());
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    DETENTE_CHECK(!tokens_[i].empty(),
                  ErrorCode::kData,
                  "[text::Vocabulary] line {} of {} is empty; expected one token a line.",
                  i + 1,
                  source);
    const auto [entry, added] = ids_.emplace(tokens_[i], static_cast<std::int32_t>(i));
    DETENTE_CHECK(added,
                  ErrorCode::kData,
                  "[text::Vocabulary] line {} of {} repeats the token '{}' of line {}; expected "
                  "each token once.",
                  i + 1,
                  source,
                  tokens_[i],
                  entry->second + 1);
  }
  const auto special = [&](const char* token) {
    const std::int32_t id = find(token);
    DETENTE_CHECK(id >= 0,
                  ErrorCode::kData,
                  "[text::Vocabulary] {} has no token {}; expected [PAD], [UNK], [CLS], [SEP] and "
                  "[MASK] among its {} tokens. It must be a vocab.txt in BERT's form.",
                  source,
                  token,
                  tokens_.size());
    return id;
  };
  special_ = {
      special("[PAD]"), special("[UNK]"), special("[CLS]"), special("[SEP]"), special("[MASK]")};
}

Vocabulary Vocabulary::read(const std::filesystem::path& path) {
  const std::string content = read_file(path);
  const std::size_t bad = find_invalid_utf8(content);
  DETENTE_CHECK(bad == std::string::npos,
                ErrorCode::kData,
                "[text::Vocabulary] '{}' is not valid UTF-8 at byte {}; expected a text file with "
                "one token a line.",
                path.string(),
                bad + 1);
  std::vector<std::string> tokens;
  std::size_t begin = content.starts_with("\xef\xbb\xbf") ? 3 : 0;
  while (begin < content.size()) {
    std::size_t end = content.find('\n', begin);
    if (end == std::string::npos) end = content.size();
    std::size_t size = end - begin;
    if (size > 0 && content[end - 1] == '\r') --size;
    tokens.push_back(content.substr(begin, size));
    begin = end + 1;
  }
  while (!tokens.empty() && tokens.back().empty()) tokens.pop_back();  // blank lines at the end
  return Vocabulary(std::move(tokens), "'" + path.string() + "'");
}

std::string Vocabulary::to_text() const {
  std::string text;
  for (const auto& token : tokens_) {
    text += token;
    text += '\n';
  }
  return text;
}

std::int32_t Vocabulary::find(std::string_view token) const {
  const auto entry = ids_.find(token);
  return entry == ids_.end() ? -1 : entry->second;
}

}  // namespace detente::text
