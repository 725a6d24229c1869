// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

namespace detente {
namespace {

static_assert(std::endian::native == std::endian::little, "crc32c reads words as they lie");

std::string system_reason(int error) { return std::strerror(error); }

// Closes on every path out.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  int fd_;
};

void write_all(int file, std::string_view content, const auto& give_up) {
  std::size_t written = 0;
  while (written < content.size()) {
    const ssize_t n = ::write(file, content.data() + written, content.size() - written);
    if (n < 0) {
      if (errno == EINTR) continue;
      give_up("write", errno);
    }
    written += static_cast<std::size_t>(n);
  }
}

// Devices and pipes are written to: a rename would put a file in their place.
void write_to_special(const std::filesystem::path& path, std::string_view content) {
  const auto give_up = [&](const char* doing, int error) {
    fail(ErrorCode::kIo,
         "[core::write_file_atomic] cannot {} '{}': {}.",
         doing,
         path.string(),
         system_reason(error));
  };
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.get() < 0) give_up("open", errno);
  write_all(file.get(), content, give_up);
  if (::close(file.release()) != 0) give_up("close", errno);
}

}  // namespace

void write_file_atomic(const std::filesystem::path& target, std::string_view content) {
  std::error_code error;
  const auto status = std::filesystem::status(target, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status) &&
      !std::filesystem::is_directory(status)) {
    write_to_special(target, content);
    return;
  }
  // A link stays; what it leads to is replaced.
  std::filesystem::path path = target;
  for (int links = 0; links < 40 && std::filesystem::is_symlink(path, error); ++links) {
    path = path.parent_path() / std::filesystem::read_symlink(path, error);
  }
  const std::filesystem::path folder =
      path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  const std::string temporary = path.string() + ".tmp" + std::to_string(::getpid());
  const auto give_up = [&](const char* doing, int error) {
    ::unlink(temporary.c_str());
    fail(ErrorCode::kIo,
         "[core::write_file_atomic] cannot {} '{}': {}. The earlier file, if any, is untouched.",
         doing,
         path.string(),
         system_reason(error));
  };
  FileDescriptor fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (fd.get() < 0) give_up("create", errno);
  write_all(fd.get(), content, give_up);
  if (::fsync(fd.get()) != 0) give_up("flush", errno);
  if (::close(fd.release()) != 0) give_up("close", errno);
  if (::rename(temporary.c_str(), path.c_str()) != 0) give_up("rename", errno);
  const FileDescriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) ::fsync(directory.get());
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
