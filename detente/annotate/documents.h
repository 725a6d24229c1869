// SPDX-License-Identifier: Apache-2.0
// A folder of the user's own texts, cut into passages.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace detente::annotate {

struct Passage {
  std::string file;        // relative to the folder, with forward slashes
  std::size_t line = 1;    // in which it begins
  std::size_t offset = 0;  // of its first byte in the file's text
  std::string text;
};

struct Documents {
  std::vector<Passage> passages;
  std::vector<std::string> warnings;  // files passed over, with the reason

  std::vector<std::string> texts() const;
};

// At most `size` characters a passage, of which it shares up to `overlap` with the one before; cut behind a line's or
// sentence's end or a blank in the last third, where there is one. Passages of blanks are left out.
std::vector<Passage> cut_passages(const std::string& file,
                                  std::string_view text,
                                  std::size_t size = 1600,
                                  std::size_t overlap = 200);

// Every .txt, .md, .rst and .text file below, in the order of their paths; hidden ones are passed over and links are not
// followed. What is no UTF-8 or larger than 64 MiB is a warning. Throws kIo (no such folder), kData (no text at all).
Documents read_documents(const std::filesystem::path& folder);

}  // namespace detente::annotate
