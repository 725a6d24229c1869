// SPDX-License-Identifier: Apache-2.0
#include <detente/core/content_reader.h>
#include <detente/core/error.h>
#include <detente/core/file.h>

#include <new>

namespace detente {
namespace {

constexpr std::size_t kPiece = 1 << 16;

std::string read_whole(ContentReader reader, const std::string& name) {
  std::string content;
  try {
    // Of a packed file nobody knows how long it will be.
    bool more = reader.read(content, kPiece);
    if (!reader.packed() && reader.size()) content.reserve(*reader.size());
    while (more) more = reader.read(content, kPiece);
    return content;
  } catch (const std::bad_alloc&) {
    DETENTE_CHECK(!reader.packed(),
                  ErrorCode::kData,
                  "[core::read_file] '{}' unpacks to more than fits into the memory, {} bytes of "
                  "it are read. Is it "
                  "the right file? Give the process more memory, or read a part of the file.",
                  name,
                  reader.taken());
    fail(ErrorCode::kUnsupported,
         "[core::read_file] '{}' does not fit into the memory. Give the process more, or read a "
         "part of the file.",
         name);
  }
}

}  // namespace

std::string read_file(const std::filesystem::path& path) {
  return read_whole(ContentReader(path), path.string());
}

std::string read_short_file(const std::filesystem::path& path, std::size_t most) {
  ContentReader reader(path);
  std::string content;
  while (reader.read(content, kPiece)) {
    DETENTE_CHECK(content.size() <= most,
                  ErrorCode::kData,
                  "[core::read_file] '{}' holds more than {} bytes, far more than a file of its "
                  "kind. Is it the right "
                  "one?",
                  path.string(),
                  most);
  }
  return content;
}

std::string read_standard_input() {
  return read_whole(ContentReader::standard_input(), "standard input");
}

}  // namespace detente
