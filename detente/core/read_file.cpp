// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <vector>

namespace detente {
namespace {

constexpr std::size_t kChunk = 1 << 16;

[[noreturn]] void give_up(const char* doing, const std::filesystem::path& path, int error) {
  fail(ErrorCode::kIo,
       "[core::read_file] cannot {} '{}': {}.",
       doing,
       path.string(),
       std::strerror(error));
}

// A signal may interrupt either call, which then has done nothing.
int open_patiently(const std::filesystem::path& path) {
  for (;;) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file >= 0 || errno != EINTR) return file;
  }
}

// From where the descriptor stands to its end; `path` is for messages.
std::string read_descriptor(int file, const std::filesystem::path& path) {
  std::string content;
  struct stat status {};
  if (::fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
    content.reserve(static_cast<std::size_t>(status.st_size));
  }
  std::vector<char> buffer(kChunk);
  for (;;) {
    const ssize_t n = ::read(file, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) give_up("read", path, errno);
    if (n == 0) return content;
    content.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

std::string read_bytes(const std::filesystem::path& path) {
  struct Closing {
    int file;
    ~Closing() { ::close(file); }
  };
  const int file = open_patiently(path);
  if (file < 0) give_up("open", path, errno);
  const Closing closing{file};
  return read_descriptor(file, path);
}

class Inflater {
 public:
  Inflater() {
    constexpr int kGzipOnly = 16;
    if (inflateInit2(&stream_, kGzipOnly + MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream* operator->() { return &stream_; }
  int step() { return inflate(&stream_, Z_NO_FLUSH); }
  void next_member() { inflateReset(&stream_); }

 private:
  z_stream stream_{};
};

// One gzip member after the other, to the last byte.
std::string inflate_all(std::string_view packed, const std::filesystem::path& path) {
  Inflater inflater;
  std::string content;
  std::vector<char> buffer(kChunk);
  std::size_t taken = 0;
  for (;;) {
    const std::size_t given =
        std::min<std::size_t>(packed.size() - taken, std::numeric_limits<uInt>::max());
    inflater->next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data() + taken));
    inflater->avail_in = static_cast<uInt>(given);
    inflater->next_out = reinterpret_cast<Bytef*>(buffer.data());
    inflater->avail_out = static_cast<uInt>(buffer.size());
    const int code = inflater.step();
    if (code == Z_MEM_ERROR) throw std::bad_alloc();
    taken += given - inflater->avail_in;
    const std::size_t made = buffer.size() - inflater->avail_out;
    content.append(buffer.data(), made);
    if (code == Z_STREAM_END) {
      if (taken == packed.size()) return content;
      DETENTE_CHECK(packed.substr(taken).starts_with("\x1f\x8b"),
                    ErrorCode::kData,
                    "[core::read_file] '{}' holds {} bytes after the end of its gzip stream, which "
                    "belong to nothing. It is damaged or was joined wrongly; fetch it again.",
                    path.string(),
                    packed.size() - taken);
      inflater.next_member();
      continue;
    }
    DETENTE_CHECK(code == Z_OK || code == Z_BUF_ERROR,
                  ErrorCode::kData,
                  "[core::read_file] cannot read '{}': {}. The file is damaged or cut short.",
                  path.string(),
                  inflater->msg == nullptr ? "not a gzip stream" : inflater->msg);
    DETENTE_CHECK(taken < packed.size() || made > 0,
                  ErrorCode::kData,
                  "[core::read_file] '{}' ends in the middle of its gzip stream; fetch it again.",
                  path.string());
  }
}

// What `read` gives, inflated where it is packed.
template <class Read>
std::string read_content(const std::filesystem::path& path, const Read& read) {
  std::string content;
  try {
    content = read();
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::kUnsupported,
         "[core::read_file] '{}' does not fit into the memory. Give the process more, or read a "
         "part of the file.",
         path.string());
  }
  if (!content.starts_with("\x1f\x8b")) return content;
  try {
    return inflate_all(content, path);
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::kData,
         "[core::read_file] '{}' ({} bytes) unpacks to more than fits into the memory. Is it the "
         "right file? Give the process more memory, or read a part of the file.",
         path.string(),
         content.size());
  }
}

}  // namespace

std::string read_file(const std::filesystem::path& path) {
  std::error_code ignored;
  DETENTE_CHECK(!std::filesystem::is_directory(path, ignored),
                ErrorCode::kIo,
                "[core::read_file] '{}' is a folder; expected a file.",
                path.string());
  return read_content(path, [&] { return read_bytes(path); });
}

std::string read_standard_input() {
  const std::filesystem::path name = "standard input";
  return read_content(name, [&] { return read_descriptor(STDIN_FILENO, name); });
}

}  // namespace detente
