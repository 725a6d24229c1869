// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/json.h>
#include <detente/train/run_lock.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

namespace detente::train {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

std::string time_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
  return text.data();
}

// Who wrote the mark; empty where nobody has yet.
std::string holder_of(int fd) {
  std::array<char, 1024> text{};
  const ssize_t size = ::pread(fd, text.data(), text.size(), 0);
  if (size <= 0) return "";
  const Json json =
      Json::parse(std::string_view(text.data(), static_cast<std::size_t>(size)), nullptr, false);
  if (!json.is_object() || !json.contains("pid") || !json["pid"].is_number_integer()) return "";
  return fmt::format(" (process {} on {}, since {})",
                     json["pid"].get<std::int64_t>(),
                     json.value("host", "?"),
                     json.value("started", "?"));
}

}  // namespace

RunLock::RunLock(RunLock&& other) noexcept { *this = std::move(other); }

RunLock& RunLock::operator=(RunLock&& other) noexcept {
  if (this == &other) return *this;
  release();
  fd_ = std::exchange(other.fd_, -1);
  warning_ = std::move(other.warning_);
  return *this;
}

void RunLock::release() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

RunLock RunLock::take(const std::filesystem::path& root) {
  const std::filesystem::path path = root / kRunMark;
  RunLock lock;
  lock.fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
  DETENTE_CHECK(lock.held(),
                ErrorCode::kIo,
                "[train::RunLock] cannot create '{}': {}. A run needs a folder it can write to; "
                "choose another with --out, or change its permissions.",
                path.string(),
                std::strerror(errno));
  if (::flock(lock.fd_, LOCK_EX | LOCK_NB) != 0) {
    DETENTE_CHECK(errno != EWOULDBLOCK,
                  ErrorCode::kInvalidArgument,
                  "[train::RunLock] another process is training into '{}'{}. Wait until it ends, "
                  "stop it, or choose another folder with --out.",
                  root.string(),
                  holder_of(lock.fd_));
    lock.warning_ = fmt::format(
        "the file system of '{}' knows no locks ({}): nothing keeps a second process from "
        "training into the same folder.",
        root.string(),
        std::strerror(errno));
  }
  const std::string text = Json{{"format", "detente-run-1"},
                                {"pid", ::getpid()},
                                {"host", host_name()},
                                {"started", time_text()}}
                               .dump() +
                           "\n";
  // Words for people alone: a full disk is noticed by what comes after.
  if (::ftruncate(lock.fd_, 0) == 0) {
    [[maybe_unused]] const ssize_t written = ::pwrite(lock.fd_, text.data(), text.size(), 0);
  }
  return lock;
}

}  // namespace detente::train
