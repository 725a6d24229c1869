// SPDX-License-Identifier: Apache-2.0
#include <detente/text/printable.h>
#include <fmt/format.h>
#include <utf8proc.h>

namespace detente::text {
namespace {

// Controls, line separators, and marks that turn the direction of what follows.
bool commands_a_terminal(utf8proc_int32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x061C || code == 0x200E ||
         code == 0x200F || (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

std::string escaped(utf8proc_int32_t code) {
  if (code == '\n') return "\\n";
  if (code == '\r') return "\\r";
  if (code == '\t') return "\\t";
  return code < 0x80 ? fmt::format("\\x{:02x}", code) : fmt::format("\\u{:04x}", code);
}

std::string printable(std::string_view text, bool keep_lines) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    utf8proc_int32_t code = 0;
    const utf8proc_ssize_t size =
        utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                         static_cast<utf8proc_ssize_t>(text.size()),
                         &code);
    const std::size_t bytes = size > 0 ? static_cast<std::size_t>(size) : 1;
    if (size <= 0) {  // no UTF-8
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[0]));
    } else if (commands_a_terminal(code) && !(keep_lines && code == '\n')) {
      out += escaped(code);
    } else {
      out += text.substr(0, bytes);
    }
    text.remove_prefix(bytes);
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text) { return printable(text, false); }

std::string printable_lines(std::string_view text) { return printable(text, true); }

}  // namespace detente::text
