// SPDX-License-Identifier: Apache-2.0
// Names for what is not finished yet, and descriptors that close themselves.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <random>
#include <string>
#include <string_view>

namespace detente::internal {

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
  // Of one that holds none yet.
  void take(int fd) { fd_ = fd; }

 private:
  int fd_;
};

inline constexpr std::string_view kTemporaryBegin = ".detente-";
inline constexpr std::string_view kTemporaryEnd = ".tmp";
inline constexpr std::string_view kTemporaryLetters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
inline constexpr std::size_t kTemporaryRandom = 6;

// Names that nobody can foresee: in a shared folder others could have put a link there.
inline std::string temporary_name() {
  std::random_device random;
  std::string name(kTemporaryBegin);
  for (std::size_t i = 0; i < kTemporaryRandom; ++i) {
    name += kTemporaryLetters[random() % kTemporaryLetters.size()];
  }
  return name.append(kTemporaryEnd);
}

struct Temporary {
  std::filesystem::path path;
  int error = EEXIST;  // 0: it was made
};

// `make` makes what has the name, which must be new, and returns false with errno otherwise.
Temporary make_temporary(const std::filesystem::path& folder, const auto& make) {
  Temporary made;
  for (int tries = 0; made.error == EEXIST && tries < 100; ++tries) {
    made.path = folder / temporary_name();
    made.error = make(made.path.c_str()) ? 0 : errno;
  }
  return made;
}

}  // namespace detente::internal
