// SPDX-License-Identifier: Apache-2.0
#include <detente/core/entries.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/file_writer.h>
#include <detente/core/internal/temporary.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

namespace detente {

static_assert(std::endian::native == std::endian::little, "crc32c reads words as they lie");

int write_all(int descriptor, std::string_view content) {
  while (!content.empty()) {
    const ssize_t n = ::write(descriptor, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}

void flush_folder(const std::filesystem::path& folder) {
  const internal::FileDescriptor directory(
      ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) ::fsync(directory.get());
}

void write_file_atomic(const std::filesystem::path& path, std::string_view content) {
  FileWriter writer(path);
  writer.write(content);
  writer.finish();
}

void write_own_file(const std::filesystem::path& path, std::string_view content) {
  FileWriter writer = FileWriter::own_file(path);
  writer.write(content);
  writer.finish();
}

bool is_temporary_name(std::string_view name) {
  using namespace internal;
  if (!name.starts_with(kTemporaryBegin) || !name.ends_with(kTemporaryEnd)) return false;
  if (name.size() != kTemporaryBegin.size() + kTemporaryRandom + kTemporaryEnd.size()) return false;
  const std::string_view random = name.substr(kTemporaryBegin.size(), kTemporaryRandom);
  return random.find_first_not_of(kTemporaryLetters) == std::string_view::npos;
}

void remove_temporary_files(const std::filesystem::path& folder) {
  std::error_code error;
  for (const std::filesystem::path& path : entries_of(folder)) {
    if (is_temporary_name(path.filename().string()) && is_own_file(path)) {
      std::filesystem::remove(path, error);
    }
  }
}

TemporaryFolder::TemporaryFolder(const std::filesystem::path& parent) {
  const internal::Temporary made =
      internal::make_temporary(parent, [](const char* name) { return ::mkdir(name, 0700) == 0; });
  DETENTE_CHECK(made.error == 0,
                ErrorCode::kIo,
                "[core::TemporaryFolder] cannot create a folder in '{}': {}.",
                parent.string(),
                std::strerror(made.error));
  path_ = made.path;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void demand_plain_files(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  constexpr int kDepth = 3;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    if (at.depth() >= kDepth) at.disable_recursion_pending();
    std::error_code ignored;
    const fs::file_status status = fs::status(at->path(), ignored);
    const bool plain =
        !fs::exists(status) || fs::is_regular_file(status) || fs::is_directory(status);
    DETENTE_CHECK(plain,
                  ErrorCode::kData,
                  "[core::demand_plain_files] '{}' is {}; expected a file. Remove it: nothing of "
                  "'{}' is read "
                  "before.",
                  at->path().string(),
                  fs::is_fifo(status)     ? "a pipe"
                  : fs::is_socket(status) ? "a socket"
                                          : "a device",
                  folder.string());
  }
}

void make_directories(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  DETENTE_CHECK(!error && std::filesystem::is_directory(path),
                ErrorCode::kIo,
                "[core::make_directories] cannot create folder '{}': {}.",
                path.string(),
                error ? error.message() : "something that is not a folder has that name");
}

std::uint32_t crc32c(std::string_view bytes, std::uint32_t crc) {
  // Eight bytes at a time ("slicing"): tables[k] is what a byte does k bytes further on.
  static const auto tables = [] {
    std::array<std::array<std::uint32_t, 256>, 8> t{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t c = i;
      for (int k = 0; k < 8; ++k) c = (c & 1U) != 0 ? 0x82f63b78U ^ (c >> 1) : c >> 1;
      t[0][i] = c;
    }
    for (std::size_t k = 1; k < 8; ++k) {
      for (std::size_t i = 0; i < 256; ++i) {
        t[k][i] = t[0][t[k - 1][i] & 0xffU] ^ (t[k - 1][i] >> 8);
      }
    }
    return t;
  }();
  crc = ~crc;
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    std::uint32_t low = 0;
    std::uint32_t high = 0;
    std::memcpy(&low, at, 4);
    std::memcpy(&high, at + 4, 4);
    low ^= crc;
    crc = tables[7][low & 0xffU] ^ tables[6][(low >> 8) & 0xffU] ^ tables[5][(low >> 16) & 0xffU] ^
          tables[4][low >> 24] ^ tables[3][high & 0xffU] ^ tables[2][(high >> 8) & 0xffU] ^
          tables[1][(high >> 16) & 0xffU] ^ tables[0][high >> 24];
  }
  for (; left > 0; --left, ++at) {
    crc = tables[0][(crc ^ static_cast<unsigned char>(*at)) & 0xffU] ^ (crc >> 8);
  }
  return ~crc;
}

}  // namespace detente
