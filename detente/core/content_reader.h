// SPDX-License-Identifier: Apache-2.0
// A file's content a piece at a time, for files that are larger than the memory. read_file (core/file.h) is
// one of its users: what holds for one holds for the other.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace detente {

class ContentReader {
 public:
  // A gzip file (by its first two bytes) is inflated on the way, one member after the other. Throws kIo:
  // missing, a folder, unreadable.
  explicit ContentReader(const std::filesystem::path& path);
  // What standard input (descriptor 0) still holds; messages call it "standard input".
  static ContentReader standard_input();

  ~ContentReader();
  ContentReader(ContentReader&&) noexcept;
  ContentReader(const ContentReader&) = delete;
  ContentReader& operator=(const ContentReader&) = delete;

  // Appends up to `most` bytes (at least one) to `content`; false when there are none any more. Throws kIo, and
  // kData for a gzip stream that is damaged, cut short or followed by something else.
  bool read(std::string& content, std::size_t most);

  // Bytes of the file itself, packed where it is packed: read so far, and all there are, if that is known
  // (of a pipe it is not).
  std::size_t taken() const;
  std::optional<std::size_t> size() const;
  bool packed() const;

 private:
  struct State;
  explicit ContentReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// The whole content of a file that cannot be long: one of more than `most` bytes, unpacked, is kData, and so is a
// device without an end.
std::string read_short_file(const std::filesystem::path& path, std::size_t most);

}  // namespace detente
