// SPDX-License-Identifier: Apache-2.0
#include <detente/text/unicode.h>
#include <detente/text/wordpiece.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <queue>
#include <set>
#include <unordered_map>
#include <utility>

namespace detente::text {
namespace {

constexpr std::size_t kMaxWordCharacters = 100;
constexpr std::string_view kContinuation = "##";

// Offsets at which characters of a UTF-8 word begin, and its end.
std::vector<std::size_t> character_starts(std::string_view word) {
  std::vector<std::size_t> starts;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if ((static_cast<unsigned char>(word[i]) & 0xc0U) != 0x80U) starts.push_back(i);
  }
  starts.push_back(word.size());
  return starts;
}

void append_word(std::string_view word,
                 const Vocabulary& vocabulary,
                 std::vector<std::int32_t>& ids) {
  const auto starts = character_starts(word);
  const std::size_t characters = starts.size() - 1;
  const std::size_t before = ids.size();
  if (characters <= kMaxWordCharacters) {
    std::string piece;
    std::size_t begin = 0;
    while (begin < characters) {
      std::int32_t id = -1;
      std::size_t end = characters;
      for (; end > begin; --end) {
        piece.assign(begin > 0 ? kContinuation : std::string_view());
        piece.append(word.substr(starts[begin], starts[end] - starts[begin]));
        id = vocabulary.find(piece);
        if (id >= 0) break;
      }
      if (id < 0) break;
      ids.push_back(id);
      begin = end;
    }
    if (begin == characters) return;
  }
  ids.resize(before);
  ids.push_back(vocabulary.special().unk);
}

// Learns the pieces. Words are sequences of ids into `tokens_`; a pair's count is kept up to date
// as merges change the words, and stale entries of the queue are skipped when they surface.
class PieceTrainer {
 public:
  PieceTrainer(std::vector<std::string> tokens, std::size_t min_count, std::size_t max_size)
      : tokens_(std::move(tokens)),
        min_count_(min_count),
        max_size_(max_size),
        queue_(Later{this}) {
    for (std::size_t i = 0; i < tokens_.size(); ++i) ids_[tokens_[i]] = static_cast<int>(i);
  }

  // Words with a character that is not in the alphabet can never be cut, so they teach nothing.
  void add_word(std::string_view word, std::int64_t count) {
    const auto starts = character_starts(word);
    if (starts.size() < 3 || starts.size() - 1 > kMaxWordCharacters) return;
    std::vector<int> symbols;
    for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
      std::string symbol(i > 0 ? kContinuation : std::string_view());
      symbol += word.substr(starts[i], starts[i + 1] - starts[i]);
      const auto entry = ids_.find(symbol);
      if (entry == ids_.end()) return;
      symbols.push_back(entry->second);
    }
    words_.push_back({std::move(symbols), count});
  }

  std::vector<std::string> run() {
    for (std::size_t w = 0; w < words_.size(); ++w) count_pairs(w, +1);
    for (const auto& [pair, statistics] : pairs_) queue_.push({statistics.count, pair});
    while (tokens_.size() < max_size_ && !queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      const auto entry = pairs_.find(best.pair);
      if (entry == pairs_.end() || entry->second.count != best.count) continue;
      if (best.count < static_cast<std::int64_t>(min_count_)) break;
      merge(best.pair);
    }
    return std::move(tokens_);
  }

 private:
  using Pair = std::pair<int, int>;
  struct Word {
    std::vector<int> symbols;
    std::int64_t count;
  };
  struct Statistics {
    std::int64_t count = 0;
    std::set<std::size_t> words;
  };
  struct Candidate {
    std::int64_t count;
    Pair pair;
  };
  struct Later {
    const PieceTrainer* trainer;
    bool operator()(const Candidate& a, const Candidate& b) const {
      if (a.count != b.count) return a.count < b.count;
      const auto& tokens = trainer->tokens_;
      const auto text = [&](const Pair& p) {
        return std::pair(std::string_view(tokens[static_cast<std::size_t>(p.first)]),
                         std::string_view(tokens[static_cast<std::size_t>(p.second)]));
      };
      return text(a.pair) > text(b.pair);
    }
  };

  void count_pairs(std::size_t w, int sign) {
    const Word& word = words_[w];
    for (std::size_t i = 0; i + 1 < word.symbols.size(); ++i) {
      const Pair pair{word.symbols[i], word.symbols[i + 1]};
      Statistics& statistics = pairs_[pair];
      statistics.count += sign * word.count;
      if (sign > 0) {
        statistics.words.insert(w);
      } else {
        statistics.words.erase(w);
      }
    }
  }

  void merge(const Pair& pair) {
    const std::string joined =
        tokens_[static_cast<std::size_t>(pair.first)] +
        tokens_[static_cast<std::size_t>(pair.second)].substr(kContinuation.size());
    // Different pairs can join into the same piece; it is one entry all the same.
    const auto [entry, added] = ids_.emplace(joined, static_cast<int>(tokens_.size()));
    if (added) tokens_.push_back(joined);
    const std::set<std::size_t> touched = pairs_.at(pair).words;
    std::set<Pair> changed;
    for (const std::size_t w : touched) {
      const auto note = [&] {
        const auto& symbols = words_[w].symbols;
        for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
          changed.insert({symbols[i], symbols[i + 1]});
        }
      };
      note();
      count_pairs(w, -1);
      auto& symbols = words_[w].symbols;
      std::vector<int> merged;
      for (std::size_t i = 0; i < symbols.size(); ++i) {
        if (i + 1 < symbols.size() && Pair{symbols[i], symbols[i + 1]} == pair) {
          merged.push_back(entry->second);
          ++i;
        } else {
          merged.push_back(symbols[i]);
        }
      }
      symbols = std::move(merged);
      count_pairs(w, +1);
      note();
    }
    for (const Pair& p : changed) {
      const auto it = pairs_.find(p);
      if (it->second.count == 0) {
        pairs_.erase(it);
      } else {
        queue_.push({it->second.count, p});
      }
    }
  }

  std::vector<std::string> tokens_;
  std::size_t min_count_;
  std::size_t max_size_;
  std::unordered_map<std::string, int> ids_;
  std::vector<Word> words_;
  std::map<Pair, Statistics> pairs_;
  std::priority_queue<Candidate, std::vector<Candidate>, Later> queue_;
};

}  // namespace

std::vector<std::string> basic_tokenize(std::string_view text, const WordpieceOptions& options) {
  std::string prepared = normalize_nfc(text);
  if (options.lower_case) prepared = lower_case(prepared);
  if (options.strip_accents) prepared = strip_accents(prepared);
  std::vector<std::string> words;
  bool open = false;  // whether the last word may still grow
  for (const char32_t code : code_points(prepared)) {
    if (is_whitespace(code)) {
      open = false;
    } else if (code == 0xfffd || is_control(code)) {
      continue;
    } else if (is_punctuation(code) || is_cjk_ideograph(code)) {
      words.push_back(to_utf8(code));
      open = false;
    } else {
      if (!open) words.emplace_back();
      append_utf8(words.back(), code);
      open = true;
    }
  }
  return words;
}

std::vector<std::int32_t> WordpieceTokenizer::encode(std::string_view text) const {
  std::vector<std::int32_t> ids;
  for (const auto& word : basic_tokenize(text, options_)) append_word(word, vocabulary(), ids);
  return ids;
}

Json WordpieceTokenizer::settings() const {
  // The names and the class are Hugging Face's, so that its loader finds what it needs.
  return {{"tokenizer_class", "BertTokenizer"},
          {"do_lower_case", options_.lower_case},
          {"strip_accents", options_.strip_accents},
          {"tokenize_chinese_chars", true}};
}

Vocabulary train_wordpiece_vocabulary(std::span<const std::string_view> texts,
                                      const WordpieceOptions& options,
                                      std::size_t min_count,
                                      std::size_t max_size) {
  std::map<std::string, std::int64_t> words;
  for (const std::string_view text : texts) {
    for (auto& word : basic_tokenize(text, options)) ++words[std::move(word)];
  }
  std::map<char32_t, std::int64_t> characters;
  for (const auto& [word, count] : words) {
    for (const char32_t code : code_points(word)) characters[code] += count;
  }
  std::vector<std::pair<char32_t, std::int64_t>> alphabet;
  for (const auto& entry : characters) {
    if (entry.second >= static_cast<std::int64_t>(min_count)) alphabet.push_back(entry);
  }
  std::stable_sort(alphabet.begin(), alphabet.end(), [](const auto& a, const auto& b) {
    return a.second > b.second;
  });
  std::vector<std::string> tokens = Vocabulary().tokens();
  for (const auto& [code, count] : alphabet) {
    // Signs and ideographs are words of their own and never continue one.
    const bool alone = is_punctuation(code) || is_cjk_ideograph(code);
    const std::string symbol = to_utf8(code);
    if (tokens.size() + (alone ? 1 : 2) > max_size) break;
    tokens.push_back(symbol);
    if (!alone) tokens.push_back(std::string(kContinuation) + symbol);
  }
  PieceTrainer trainer(std::move(tokens), min_count, max_size);
  for (const auto& [word, count] : words) trainer.add_word(word, count);
  return Vocabulary(trainer.run(), "the trained vocabulary");
}

}  // namespace detente::text
