// SPDX-License-Identifier: Apache-2.0
// From what a model wrote to a label, or to why it is none. Only what says a label plainly counts: a text in which a
// label merely occurs ("this is not positive") is no answer.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace detente::annotate {

// NFC, small letters, blanks as single ones, no quotes, stars, brackets or full stops around it. Two labels that are
// the same here cannot be told apart.
std::string normalized(std::string_view text);

enum class AnswerForm {
  kLabel,  // the whole text, or what `kLine` takes
  kLine,   // the last line that begins with "Answer:" or "Label:", or a JSON object with such a key
};

// The label's index. Of a candidate (the whole text, a line's rest, a JSON value) these count: the label itself; the
// label, then a sign (. , : ; ! - and their like) and anything else where no other label occurs; one line that
// ends with ": LABEL" or "is LABEL" where no other label occurs.
std::optional<std::size_t> parse_label(std::string_view text,
                                       std::span<const std::string> labels,
                                       AnswerForm form);

// What follows the last "Answer:" at a line's start, up to the line's end or, with `rest`, the text's end.
std::optional<std::string> answer_line(std::string_view text, bool rest = false);

}  // namespace detente::annotate
