// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/answer.h>
#include <detente/annotate/citations.h>
#include <detente/annotate/prompt.h>
#include <detente/core/whole_number.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace detente::annotate {
namespace {

// Where from `at` on the next "[digits, commas, blanks]" stands; npos, npos for none.
std::pair<std::size_t, std::size_t> next_bracket(std::string_view text, std::size_t at) {
  for (std::size_t open = text.find('[', at); open != std::string_view::npos;
       open = text.find('[', open + 1)) {
    const std::size_t close = text.find_first_not_of("0123456789, ", open + 1);
    const std::string_view inside =
        text.substr(open + 1, close == std::string_view::npos ? close : close - open - 1);
    if (close != std::string_view::npos && text[close] == ']' &&
        inside.find_first_of("0123456789") != std::string_view::npos) {
      return {open, close + 1};
    }
  }
  return {std::string_view::npos, std::string_view::npos};
}

}  // namespace

std::string sources_text(const Documents& documents, std::span<const Hit> hits) {
  if (hits.empty()) return "(none)";
  std::string text;
  for (std::size_t i = 0; i < hits.size(); ++i) {
    text += fmt::format("{}[{}]\n{}",
                        i == 0 ? "" : "\n",
                        i + 1,
                        fenced("source", documents.passages[hits[i].passage].text));
  }
  return text;
}

Citations citations_of(std::string_view answer, std::size_t given) {
  Citations found;
  std::set<std::size_t> cited;
  std::size_t end = 0;
  for (;;) {
    const auto [open, close] = next_bracket(answer, end);
    if (open == std::string_view::npos) break;
    end = close;
    std::string_view inside = answer.substr(open + 1, close - open - 2);
    while (!inside.empty()) {
      const std::size_t comma = std::min(inside.find_first_of(", "), inside.size());
      const std::string_view word = inside.substr(0, comma);
      inside.remove_prefix(std::min(comma + 1, inside.size()));
      if (word.empty()) continue;
      const auto number = whole_number<std::size_t>(word);
      if (number && *number >= 1 && *number <= given) {
        cited.insert(*number);
      } else {
        found.foreign.push_back(fmt::format("[{}]", word));
      }
    }
  }
  found.cited.assign(cited.begin(), cited.end());
  return found;
}

std::string without_citations(std::string_view answer) {
  std::string out;
  std::size_t at = 0;
  for (;;) {
    const auto [open, close] = next_bracket(answer, at);
    out += answer.substr(at, open == std::string_view::npos ? open : open - at);
    if (open == std::string_view::npos) return out;
    at = close;
  }
}

bool says_not_found(std::string_view answer, const std::string& words) {
  const std::string wanted = normalized(words);
  return !wanted.empty() &&
         normalized(answer_line(answer).value_or(std::string(answer))).starts_with(wanted);
}

}  // namespace detente::annotate
