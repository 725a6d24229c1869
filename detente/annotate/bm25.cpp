// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/bm25.h>
#include <detente/text/unicode.h>

#include <cmath>

namespace detente::annotate {
namespace {

// Letters of scripts that are cut into pairs.
bool in_pairs(char32_t c) {
  return text::is_cjk_ideograph(c) || (c >= 0xac00 && c <= 0xd7a3) ||  // Hangul syllables
         (c >= 0x3040 && c <= 0x30ff);                                 // Hiragana, Katakana
}

}  // namespace

std::vector<std::string> search_terms(std::string_view text) {
  std::vector<std::string> terms;
  std::vector<char32_t> run;
  bool pairs = false;
  const auto end_run = [&] {
    if (pairs && run.size() > 1) {
      for (std::size_t i = 0; i + 1 < run.size(); ++i) {
        terms.push_back(text::to_utf8(run[i]) + text::to_utf8(run[i + 1]));
      }
    } else if (!run.empty()) {
      std::string term;
      for (const char32_t c : run) text::append_utf8(term, c);
      terms.push_back(std::move(term));
    }
    run.clear();
  };
  for (const char32_t c : text::code_points(text::lower_case(text::normalize_nfc(text)))) {
    if (text::is_whitespace(c) || text::is_punctuation(c) || text::is_control(c)) {
      end_run();
      continue;
    }
    if (in_pairs(c) != pairs) {
      end_run();
      pairs = in_pairs(c);
    }
    run.push_back(c);
  }
  end_run();
  return terms;
}

Bm25::Bm25(std::span<const std::string> texts, double k1, double b) : k1_(k1), b_(b) {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::vector<std::string> terms = search_terms(texts[i]);
    lengths_.push_back(static_cast<double>(terms.size()));
    mean_length_ += static_cast<double>(terms.size());
    for (const std::string& term : terms) {
      std::vector<Posting>& list = postings_[term];
      if (list.empty() || list.back().text != i) list.push_back({i, 0});
      list.back().count += 1;
    }
  }
  if (!texts.empty()) mean_length_ /= static_cast<double>(texts.size());
}

std::vector<double> Bm25::scores(std::string_view query) const {
  std::vector<double> scores(size(), 0.0);
  const auto n = static_cast<double>(size());
  for (const std::string& term : search_terms(query)) {
    const auto found = postings_.find(term);
    if (found == postings_.end()) continue;
    const auto having = static_cast<double>(found->second.size());
    const double idf = std::log1p((n - having + 0.5) / (having + 0.5));
    for (const Posting& posting : found->second) {
      const double length = 1 - b_ + b_ * lengths_[posting.text] / mean_length_;
      scores[posting.text] += idf * posting.count * (k1_ + 1) / (posting.count + k1_ * length);
    }
  }
  return scores;
}

}  // namespace detente::annotate
