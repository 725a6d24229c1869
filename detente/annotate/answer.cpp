// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/answer.h>
#include <detente/core/ascii.h>
#include <detente/core/json.h>
#include <detente/text/unicode.h>

#include <algorithm>
#include <vector>

namespace detente::annotate {
namespace {

// Quotes, brackets and stars before a word.
bool is_opening(char32_t c) {
  return c == '"' || c == '\'' || c == '`' || c == '*' || c == '_' || c == '(' || c == '[' ||
         c == '<' || c == 0x201c || c == 0x2018 || c == 0x300c;
}

bool is_wrapping(char32_t c) {
  return is_opening(c) || c == '.' || c == ')' || c == ']' || c == '>' || c == 0x201d ||
         c == 0x2019 || c == 0x3002 || c == 0x300d;
}

// Whether `label` occurs in `text` (both normalised) where no letter or digit touches it.
bool occurs(const std::string& text, const std::string& label) {
  const auto is_word = [&](std::size_t at) {
    const auto c = static_cast<unsigned char>(text[at]);
    return std::isalnum(c) != 0 || c == '_';
  };
  for (std::size_t at = text.find(label); at != std::string::npos; at = text.find(label, at + 1)) {
    const std::size_t end = at + label.size();
    if ((at == 0 || !is_word(at - 1)) && (end == text.size() || !is_word(end))) return true;
  }
  return false;
}

bool begins_with_sign(std::string_view rest) {
  rest = trim(rest);
  for (const std::string_view sign : {".",
                                      ",",
                                      ":",
                                      ";",
                                      "!",
                                      "-",
                                      "(",
                                      "\xe2\x80\x93",
                                      "\xe2\x80\x94",
                                      "\xe3\x80\x82",
                                      "\"",
                                      "*"}) {
    if (rest.starts_with(sign)) return true;
  }
  return rest.empty();
}

// A label at the end of a sentence may stand in quotes or stars; those behind it are gone already (normalized).
std::string_view without_opening(std::string_view head) {
  if (text::find_invalid_utf8(head) != std::string_view::npos) return head;
  const std::vector<char32_t> codes = text::code_points(head);
  for (auto last = codes.rbegin(); last != codes.rend() && is_opening(*last); ++last) {
    head.remove_suffix(text::to_utf8(*last).size());
  }
  return head;
}

std::optional<std::size_t> match(std::string_view candidate, std::span<const std::string> labels) {
  const std::string whole = normalized(candidate);
  std::vector<std::string> words;
  for (const std::string& label : labels) words.push_back(normalized(label));
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (whole == words[i]) return i;
  }
  // Which labels occur, those that lie within another one that occurs left out.
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (!words[i].empty() && occurs(whole, words[i])) found.push_back(i);
  }
  std::vector<std::size_t> outer;
  for (const std::size_t i : found) {
    const bool inner = std::any_of(found.begin(), found.end(), [&](std::size_t j) {
      return j != i && words[j].size() > words[i].size() && occurs(words[j], words[i]);
    });
    if (!inner) outer.push_back(i);
  }
  if (outer.size() != 1) return std::nullopt;
  const std::string& word = words[outer[0]];
  if (whole.starts_with(word) && begins_with_sign(std::string_view(whole).substr(word.size()))) {
    return outer[0];
  }
  const bool one_line = trim(candidate, " \t\r\n").find('\n') == std::string_view::npos;
  if (!one_line || !whole.ends_with(word)) return std::nullopt;
  const std::string_view head =
      without_opening(std::string_view(whole).substr(0, whole.size() - word.size()));
  if (head.ends_with(": ") || head.ends_with(" is ")) return outer[0];
  return std::nullopt;
}

std::optional<std::string> json_answer(std::string_view text) {
  const std::size_t open = text.find('{');
  const std::size_t close = text.rfind('}');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open)
    return std::nullopt;
  const Json json = Json::parse(text.substr(open, close - open + 1), nullptr, false);
  if (json.is_discarded() || !json.is_object()) return std::nullopt;
  for (const char* key : {"label", "answer", "Label", "Answer"}) {
    const auto found = json.find(key);
    if (found != json.end() && found->is_string()) return found->get<std::string>();
  }
  return std::nullopt;
}

}  // namespace

std::string normalized(std::string_view text) {
  if (text::find_invalid_utf8(text) != std::string_view::npos) return std::string(text);
  const std::vector<char32_t> codes =
      text::code_points(text::lower_case(text::normalize_nfc(text)));
  std::size_t begin = 0;
  std::size_t end = codes.size();
  const auto around = [](char32_t c) { return text::is_whitespace(c) || is_wrapping(c); };
  while (begin < end && around(codes[begin])) ++begin;
  while (end > begin && around(codes[end - 1])) --end;
  std::string out;
  bool blank = false;
  for (std::size_t i = begin; i < end; ++i) {
    if (text::is_whitespace(codes[i])) {
      blank = true;
      continue;
    }
    if (blank) out += ' ';
    blank = false;
    text::append_utf8(out, codes[i]);
  }
  return out;
}

std::optional<std::string> answer_line(std::string_view text, bool rest) {
  std::optional<std::string> found;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = trim(text.substr(at, end - at), " \t\r*#>_");
    const std::string lower = lower_ascii(std::string(line));
    for (const std::string_view head : {"answer", "final answer", "the answer is", "label"}) {
      if (!lower.starts_with(head)) continue;
      std::string_view tail = trim(line.substr(head.size()), " \t*_");
      if (!tail.starts_with(':') && head != "the answer is") continue;
      if (tail.starts_with(':')) tail.remove_prefix(1);
      if (rest) tail = text.substr(static_cast<std::size_t>(tail.data() - text.data()));
      found = std::string(trim(tail, " \t\r\n"));
      if (rest) return found;
    }
    at = end + 1;
  }
  return found;
}

std::optional<std::size_t> parse_label(std::string_view text,
                                       std::span<const std::string> labels,
                                       AnswerForm form) {
  if (const auto line = answer_line(text)) return match(*line, labels);
  if (const auto json = json_answer(text)) return match(*json, labels);
  return form == AnswerForm::kLabel ? match(text, labels) : std::nullopt;
}

}  // namespace detente::annotate
