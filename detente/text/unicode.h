// SPDX-License-Identifier: Apache-2.0
// Unicode as the tokenizers need it: strict UTF-8, NFC, and the character classes of BERT.
// Every function but find_invalid_utf8 expects valid UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace detente::text {

// Offset of the first byte that is not part of a well-formed UTF-8 sequence (overlong forms,
// surrogates, values above U+10FFFF and cut sequences are not), or npos when there is none.
std::size_t find_invalid_utf8(std::string_view text);

// The longest beginning of at most `bytes` that does not cut a letter in two.
std::string_view whole_letters(std::string_view text, std::size_t bytes);

// Canonical composition: "e" + combining acute → "é", conjoining jamo → Hangul syllables.
std::string normalize_nfc(std::string_view text);
// Canonical decomposition; Hangul syllables fall apart into jamo.
std::string normalize_nfd(std::string_view text);

std::vector<char32_t> code_points(std::string_view text);
void append_utf8(std::string& out, char32_t code);
std::string to_utf8(char32_t code);

// Blank, tab, line feed, carriage return and the separators Zs, Zl, Zp.
bool is_whitespace(char32_t code);
// Categories Cc, Cf, Cs, Co, Cn, except tab, line feed and carriage return.
bool is_control(char32_t code);
// ASCII signs that are neither letter nor digit, and the categories P*.
bool is_punctuation(char32_t code);
// The CJK ideograph blocks; Hangul, Hiragana and Katakana are not among them.
bool is_cjk_ideograph(char32_t code);
bool is_digit(char32_t code);

// Code point by code point (one to one), so a final sigma stays an ordinary small sigma.
std::string lower_case(std::string_view text);
// Removes combining marks (é → e) and leaves Hangul syllables whole.
std::string strip_accents(std::string_view text);

}  // namespace detente::text
