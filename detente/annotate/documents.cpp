// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/documents.h>
#include <detente/core/ascii.h>
#include <detente/core/entries.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/text/unicode.h>
#include <fmt/format.h>

#include <algorithm>
#include <system_error>

namespace detente::annotate {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kLargest = std::uintmax_t{64} << 20U;

void collect(const fs::path& folder, std::vector<fs::path>& files) {
  std::vector<fs::path> entries = entries_of(folder);
  std::sort(entries.begin(), entries.end());
  for (const fs::path& entry : entries) {
    const std::string name = entry.filename().string();
    if (name.starts_with('.')) continue;
    if (is_own_folder(entry)) {
      collect(entry, files);
    } else if (is_own_file(entry)) {
      const std::string extension = lower_ascii(entry.extension().string());
      for (const char* known : {".txt", ".md", ".rst", ".text"}) {
        if (extension == known) files.push_back(entry);
      }
    }
  }
}

bool starts_character(char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }

// The end of the `count`-th character from `at` on.
std::size_t skip(std::string_view text, std::size_t at, std::size_t count) {
  while (at < text.size() && count > 0) {
    ++at;
    while (at < text.size() && !starts_character(text[at])) ++at;
    --count;
  }
  return at;
}

// The best place to end in (from, to]: behind a line's end, a sentence's, a blank, else `to`.
std::size_t good_end(std::string_view text, std::size_t from, std::size_t to) {
  for (const std::string_view mark : {"\n\n", "\n", ". ", "? ", "! ", "\xe3\x80\x82", " "}) {
    const std::size_t at = text.substr(0, to).rfind(mark);
    if (at != std::string_view::npos && at + mark.size() > from) return at + mark.size();
  }
  return to;
}

}  // namespace

std::vector<std::string> Documents::texts() const {
  std::vector<std::string> all;
  for (const Passage& passage : passages) all.push_back(passage.text);
  return all;
}

std::vector<Passage> cut_passages(const std::string& file,
                                  std::string_view text,
                                  std::size_t size,
                                  std::size_t overlap) {
  std::vector<Passage> passages;
  std::size_t line = 1;
  std::size_t counted = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t most = skip(text, begin, size);
    const std::size_t end =
        most == text.size() ? most : good_end(text, skip(text, begin, size * 2 / 3), most);
    const std::string_view whole = text.substr(begin, end - begin);
    const std::size_t lead = std::min(whole.find_first_not_of(" \t\r\n"), whole.size());
    line += static_cast<std::size_t>(
        std::count(text.begin() + static_cast<std::ptrdiff_t>(counted),
                   text.begin() + static_cast<std::ptrdiff_t>(begin + lead),
                   '\n'));
    counted = begin + lead;
    const std::string_view kept = trim(whole, " \t\r\n");
    if (!kept.empty()) passages.push_back({file, line, begin + lead, std::string(kept)});
    if (end == text.size()) break;
    // Back by the overlap, a character at a time, but always on from where this one began.
    const std::size_t least = skip(text, std::min(begin + lead, end), 1);
    std::size_t next = end;
    for (std::size_t back = 0; back < overlap && next > least; ++back) {
      do --next;
      while (next > least && !starts_character(text[next]));
    }
    const std::size_t blank = text.find_first_of(" \n", next);
    begin = blank != std::string_view::npos && blank + 1 < end ? blank + 1 : next;
  }
  return passages;
}

Documents read_documents(const fs::path& folder) {
  DETENTE_CHECK(
      fs::is_directory(folder),
      ErrorCode::kIo,
      "[annotate::read_documents] '{}' is no folder; expected one with .txt or .md files.",
      folder.string());
  std::vector<fs::path> files;
  collect(folder, files);
  Documents documents;
  for (const fs::path& path : files) {
    const std::string name = path.lexically_relative(folder).generic_string();
    try {
      std::error_code error;
      const std::uintmax_t size = fs::file_size(path, error);
      std::string why;
      std::string text;
      if (!error && size > kLargest) {
        why = "it is larger than 64 MiB";
      } else {
        text = read_file(path);
        if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
        if (text::find_invalid_utf8(text) != std::string::npos) why = "it is not UTF-8";
      }
      if (!why.empty()) {
        documents.warnings.push_back(fmt::format("'{}' is passed over: {}.", name, why));
        continue;
      }
      for (Passage& passage : cut_passages(name, text)) {
        documents.passages.push_back(std::move(passage));
      }
    } catch (const Error& error) {
      documents.warnings.push_back(fmt::format("'{}' is passed over: {}", name, error.what()));
    }
  }
  DETENTE_CHECK(!documents.passages.empty(),
                ErrorCode::kData,
                "[annotate::read_documents] '{}' holds no text; expected .txt, .md, .rst or .text "
                "files in UTF-8{}.",
                folder.string(),
                documents.warnings.empty() ? "" : " (" + documents.warnings[0] + ")");
  return documents;
}

}  // namespace detente::annotate
