// SPDX-License-Identifier: Apache-2.0
#include <detente/core/entries.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/whole_number.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <optional>
#include <random>

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

constexpr std::string_view kTemporaryBegin = ".detente-";
constexpr std::string_view kTemporaryEnd = ".tmp";
constexpr std::string_view kTemporaryLetters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
constexpr std::size_t kTemporaryRandom = 6;

// Names that nobody can foresee: in a shared folder others could have put a link there.
std::string temporary_name() {
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

[[noreturn]] void cannot_write(const std::filesystem::path& path, const char* doing, int error) {
  fail(ErrorCode::kIo,
       "[core::write_file_atomic] cannot {} '{}': {}.",
       doing,
       path.string(),
       system_reason(error));
}

// The number of /proc/self/fd/NUMBER, by whatever name of that folder.
std::optional<int> own_descriptor(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  const auto number = whole_number<int>(name);
  if (!number || *number < 0) return std::nullopt;
  std::error_code error;
  if (!std::filesystem::equivalent(path.parent_path(), "/proc/self/fd", error)) return std::nullopt;
  return number;
}

// Devices and pipes are written to: a rename would put a file in their place.
void write_to_special(const std::filesystem::path& path, std::string_view content) {
  const auto give_up = [&](const char* doing, int error) { cannot_write(path, doing, error); };
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
  if (file.get() < 0) give_up("open", errno);
  if (const int error = write_all(file.get(), content)) give_up("write", error);
  if (::close(file.release()) != 0) give_up("close", errno);
}

// `earlier`: what stands at `path`, a regular file; none: nothing does.
void replace_file(const std::filesystem::path& path,
                  const struct stat* earlier,
                  std::string_view content) {
  const std::filesystem::path folder =
      path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  // What others may not read now they may not read on its way either.
  const mode_t mode = earlier == nullptr ? 0666 : 0600;
  int opened = -1;
  const Temporary temporary = make_temporary(folder, [&](const char* name) {
    opened = ::open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    return opened >= 0;
  });
  const auto give_up = [&](const char* doing, int error) {
    if (temporary.error == 0) ::unlink(temporary.path.c_str());
    fail(ErrorCode::kIo,
         "[core::write_file_atomic] cannot {} '{}': {}. The earlier file, if any, is untouched.",
         doing,
         path.string(),
         system_reason(error));
  };
  FileDescriptor fd(opened);
  if (temporary.error != 0) give_up("create", temporary.error);
  if (const int error = write_all(fd.get(), content)) give_up("write", error);
  if (earlier != nullptr) {
    // Only root can give a file away, and some file systems have no modes: the content matters more.
    if (::fchown(fd.get(), earlier->st_uid, earlier->st_gid) != 0) errno = 0;
    if (::fchmod(fd.get(), earlier->st_mode & 0777) != 0) errno = 0;
  }
  if (::fsync(fd.get()) != 0) give_up("flush", errno);
  if (::close(fd.release()) != 0) give_up("close", errno);
  if (::rename(temporary.path.c_str(), path.c_str()) != 0) give_up("rename", errno);
  flush_folder(folder);
}

}  // namespace

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
  const FileDescriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) ::fsync(directory.get());
}

void write_file_atomic(const std::filesystem::path& target, std::string_view content) {
  const auto give_up = [&](const char* doing, int error) { cannot_write(target, doing, error); };
  struct stat found {};
  // Asked of the system and not of our own walk below: it refuses links of others in shared folders.
  const bool there = ::stat(target.c_str(), &found) == 0;
  if (!there && errno != ENOENT) give_up("open", errno);
  std::filesystem::path path = target;
  std::error_code error;
  for (int links = 0; std::filesystem::is_symlink(path, error); ++links) {
    if (links == 40) give_up("open", ELOOP);
    if (const auto number = own_descriptor(path)) {
      if (const int failed = write_all(*number, content)) give_up("write", failed);
      return;
    }
    path = path.parent_path() / std::filesystem::read_symlink(path, error);
  }
  if (there && S_ISDIR(found.st_mode)) give_up("write", EISDIR);
  if (there && !S_ISREG(found.st_mode)) {
    write_to_special(target, content);
    return;
  }
  // A rename asks the folder alone; a file that is protected is meant to be.
  if (there && ::access(target.c_str(), W_OK) != 0) give_up("write", errno);
  replace_file(path, there ? &found : nullptr, content);
}

void write_own_file(const std::filesystem::path& path, std::string_view content) {
  struct stat found {};
  const bool there = ::lstat(path.c_str(), &found) == 0;
  if (there && S_ISDIR(found.st_mode)) cannot_write(path, "write", EISDIR);
  const bool regular = there && S_ISREG(found.st_mode);
  if (regular && ::access(path.c_str(), W_OK) != 0) cannot_write(path, "write", errno);
  replace_file(path, regular ? &found : nullptr, content);
}

bool is_temporary_name(std::string_view name) {
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
  const Temporary made =
      make_temporary(parent, [](const char* name) { return ::mkdir(name, 0700) == 0; });
  DETENTE_CHECK(made.error == 0,
                ErrorCode::kIo,
                "[core::TemporaryFolder] cannot create a folder in '{}': {}.",
                parent.string(),
                system_reason(made.error));
  path_ = made.path;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
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
