// SPDX-License-Identifier: Apache-2.0
// What a model is told: messages with roles, templates, and texts of others inside them. A text of others (a
// row, an example, a document) is data: whatever stands in it, it can neither end its own marks, nor begin
// a message, nor be taken for a placeholder. That a model heeds what it reads there no format can prevent.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace detente::annotate {

struct Message {
  std::string role;  // system, user or assistant
  std::string content;

  bool operator==(const Message&) const = default;
};

using Values = std::vector<std::pair<std::string, std::string>>;

// Puts values into "{{name}}" in one pass: braces inside a value stay what they are. Blanks within the
// braces do not count. A name that `values` lacks is kInvalidArgument, opened by `where`, with the
// names there are; so is "{{" that is never closed.
std::string fill(std::string_view pattern, const Values& values, const std::string& where);

// Sixteen lower-case hexadecimal digits.
std::string hash_text(std::uint64_t hash);

// "<word-1a2b3c4d>\n...\n</word-1a2b3c4d>": the digits come from the text alone, so that the same text gives
// the same prompt, and are such that the mark does not occur in it. The text goes through `defused`.
std::string fenced(std::string_view word, std::string_view text);

// The text with what servers' chat templates take for their own signs broken by a blank: "<|im_start|>"
// becomes "< |im_start|>", likewise <s>, </s>, [INST], <<SYS>>, <start_of_turn> and their like in any
// case. NUL and other control characters but tab and line ends become blanks. Nothing else changes.
std::string defused(std::string_view text);

}  // namespace detente::annotate
