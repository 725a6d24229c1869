// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace detente {

// A to Z become a to z, all other bytes stay, whatever the locale. For words of file formats and
// variables; text of languages is text::lower_case's matter.
inline std::string lower_ascii(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

}  // namespace detente
