// SPDX-License-Identifier: Apache-2.0
// The one folder that is served, and its files. Nothing outside it can be opened through this, whatever
// links stand in it or are put there meanwhile.
#pragma once

#include <detente/serve/request.h>
#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace detente::serve {

// A regular file that is open for reading; closed with the object.
class OpenFile {
 public:
  explicit OpenFile(int descriptor);
  ~OpenFile();
  OpenFile(OpenFile&& other) noexcept;
  OpenFile& operator=(OpenFile&&) = delete;
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  int descriptor() const { return descriptor_; }
  std::uint64_t size() const { return static_cast<std::uint64_t>(facts_.st_size); }
  // Which file it is and what state it is in: another text when it was replaced or written to.
  std::string version() const;
  std::uint64_t inode() const { return facts_.st_ino; }
  double modified() const;  // seconds since 1970

  // So many bytes from there on; fewer where the file ends or cannot be read.
  std::string read(std::uint64_t from, std::size_t bytes) const;

 private:
  int descriptor_;
  struct stat facts_ {};
};

class Folder {
 public:
  // Throws kIo where there is no such folder.
  explicit Folder(const std::filesystem::path& path);
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::filesystem::path& path() const { return path_; }  // absolute, without links

  // A regular file in it (no device, no pipe). Links are followed where they stay inside; names that are
  // none ("..", with '/') find nothing.
  std::optional<OpenFile> open(const Segments& segments) const;
  // The whole text of a file of at most `limit` bytes; nothing where there is none or it is larger.
  std::optional<std::string> text(const Segments& segments, std::size_t limit) const;
  // Whether a folder stands there, inside.
  bool has_folder(const Segments& segments) const;
  bool has_file(const Segments& segments) const { return open(segments).has_value(); }

 private:
  int walk(const Segments& segments, int last_flags) const;
  int find(const Segments& segments, int last_flags) const;

  std::filesystem::path path_;
  int descriptor_ = -1;
};

// How a file may be shown, by its name: the content type, or nothing for what is not served. Served are
// what pages, tables and logs are made of: html, json, jsonl, csv, tsv, md, tex, txt, log, yaml, svg, png, pdf.
// Weights, snapshots, events and hidden files are not.
std::optional<std::string> content_type_of(const Segments& segments);

}  // namespace detente::serve
