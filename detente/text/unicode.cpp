// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/text/unicode.h>
#include <utf8proc.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace detente::text {
namespace {

unsigned char byte_at(std::string_view text, std::size_t i) {
  return static_cast<unsigned char>(text[i]);
}

// Decodes the sequence at `i` of valid UTF-8 and moves past it.
char32_t next_code_point(std::string_view text, std::size_t& i) {
  const unsigned char lead = byte_at(text, i++);
  if (lead < 0x80) return lead;
  const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
  char32_t code = lead & (0x3fU >> more);
  for (int k = 0; k < more && i < text.size(); ++k)
    code = (code << 6) | (byte_at(text, i++) & 0x3fU);
  return code;
}

// Code points that NFC leaves alone whatever their neighbours are, as long as those are of this
// kind too: most text needs no more than this look.
bool is_inert(char32_t code) {
  return code < 0x300 || (code >= 0xac00 && code <= 0xd7a3) || (code >= 0x4e00 && code <= 0x9fff);
}

std::string map_text(std::string_view text, int options) {
  if (text.empty()) return {};
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()),
                   &mapped,
                   static_cast<utf8proc_option_t>(options | UTF8PROC_STABLE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, std::free);
  DETENTE_CHECK(size >= 0,
                ErrorCode::kData,
                "[text::unicode] cannot normalise a text of {} bytes: {}.",
                text.size(),
                utf8proc_errmsg(size));
  return {reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(size)};
}

utf8proc_category_t category(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

}  // namespace

std::string_view whole_letters(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0U) == 0x80U) --bytes;
  return text.substr(0, bytes);
}

std::size_t find_invalid_utf8(std::string_view text) {
  const std::size_t n = text.size();
  std::size_t i = 0;
  while (i < n) {
    const unsigned char lead = byte_at(text, i);
    if (lead < 0x80) {
      // ASCII comes in long stretches: eight bytes at a time.
      ++i;
      for (std::uint64_t word = 0; i + sizeof(word) <= n; i += sizeof(word)) {
        std::memcpy(&word, text.data() + i, sizeof(word));
        if ((word & 0x8080808080808080U) != 0) break;
      }
      continue;
    }
    std::size_t length = 0;
    unsigned char low = 0x80;  // bounds of the second byte
    unsigned char high = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf) {
      length = 2;
    } else if (lead >= 0xe0 && lead <= 0xef) {
      length = 3;
      if (lead == 0xe0) low = 0xa0;   // overlong
      if (lead == 0xed) high = 0x9f;  // surrogates
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      length = 4;
      if (lead == 0xf0) low = 0x90;   // overlong
      if (lead == 0xf4) high = 0x8f;  // above U+10FFFF
    } else {
      return i;
    }
    if (i + length > n) return i;
    if (byte_at(text, i + 1) < low || byte_at(text, i + 1) > high) return i;
    for (std::size_t k = 2; k < length; ++k) {
      if ((byte_at(text, i + k) & 0xc0U) != 0x80U) return i;
    }
    i += length;
  }
  return std::string_view::npos;
}

std::string normalize_nfc(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    if (!is_inert(next_code_point(text, i))) return map_text(text, UTF8PROC_COMPOSE);
  }
  return std::string(text);
}

std::string normalize_nfd(std::string_view text) { return map_text(text, UTF8PROC_DECOMPOSE); }

std::vector<char32_t> code_points(std::string_view text) {
  std::vector<char32_t> codes;
  codes.reserve(text.size());
  std::size_t i = 0;
  while (i < text.size()) codes.push_back(next_code_point(text, i));
  return codes;
}

void append_utf8(std::string& out, char32_t code) {
  const auto put = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0U | (code >> 6));
    put(0x80U | (code & 0x3fU));
  } else if (code < 0x10000) {
    put(0xe0U | (code >> 12));
    put(0x80U | ((code >> 6) & 0x3fU));
    put(0x80U | (code & 0x3fU));
  } else {
    put(0xf0U | (code >> 18));
    put(0x80U | ((code >> 12) & 0x3fU));
    put(0x80U | ((code >> 6) & 0x3fU));
    put(0x80U | (code & 0x3fU));
  }
}

std::string to_utf8(char32_t code) {
  std::string out;
  append_utf8(out, code);
  return out;
}

bool is_whitespace(char32_t code) {
  if (code == ' ' || code == '\t' || code == '\n' || code == '\r') return true;
  if (code < 0x80) return false;
  const auto c = category(code);
  return c == UTF8PROC_CATEGORY_ZS || c == UTF8PROC_CATEGORY_ZL || c == UTF8PROC_CATEGORY_ZP;
}

bool is_control(char32_t code) {
  if (code == '\t' || code == '\n' || code == '\r') return false;
  if (code < 0x80) return code < 0x20 || code == 0x7f;
  const auto c = category(code);
  return c == UTF8PROC_CATEGORY_CC || c == UTF8PROC_CATEGORY_CF || c == UTF8PROC_CATEGORY_CS ||
         c == UTF8PROC_CATEGORY_CO || c == UTF8PROC_CATEGORY_CN;
}

bool is_punctuation(char32_t code) {
  if (code < 0x80) {
    return (code >= 33 && code <= 47) || (code >= 58 && code <= 64) || (code >= 91 && code <= 96) ||
           (code >= 123 && code <= 126);
  }
  const auto c = category(code);
  return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO;
}

bool is_cjk_ideograph(char32_t code) {
  return (code >= 0x4e00 && code <= 0x9fff) || (code >= 0x3400 && code <= 0x4dbf) ||
         (code >= 0x20000 && code <= 0x2a6df) || (code >= 0x2a700 && code <= 0x2b73f) ||
         (code >= 0x2b740 && code <= 0x2b81f) || (code >= 0x2b820 && code <= 0x2ceaf) ||
         (code >= 0xf900 && code <= 0xfaff) || (code >= 0x2f800 && code <= 0x2fa1f);
}

bool is_digit(char32_t code) {
  if (code < 0x80) return code >= '0' && code <= '9';
  return category(code) == UTF8PROC_CATEGORY_ND;
}

std::string lower_case(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::size_t i = 0;
  while (i < text.size()) {
    const auto code = static_cast<utf8proc_int32_t>(next_code_point(text, i));
    append_utf8(out, static_cast<char32_t>(utf8proc_tolower(code)));
  }
  return out;
}

std::string strip_accents(std::string_view text) {
  const std::string decomposed = normalize_nfd(text);
  std::string kept;
  std::size_t i = 0;
  while (i < decomposed.size()) {
    const char32_t code = next_code_point(decomposed, i);
    if (category(code) != UTF8PROC_CATEGORY_MN) append_utf8(kept, code);
  }
  return normalize_nfc(kept);  // jamo back into syllables
}

}  // namespace detente::text
