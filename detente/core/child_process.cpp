// SPDX-License-Identifier: Apache-2.0
#include <detente/core/child_process.h>
#include <detente/core/error.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

namespace detente {
namespace {

std::vector<char*> argument_list(const std::vector<std::string>& arguments) {
  DETENTE_DCHECK(!arguments.empty());
  std::vector<char*> list;
  for (const auto& argument : arguments) list.push_back(const_cast<char*>(argument.c_str()));
  list.push_back(nullptr);
  return list;
}

[[noreturn]] void cannot_start(const std::string& program, int error) {
  fail(ErrorCode::kIo,
       "[core::child_process] cannot start the program '{}': {}.",
       program,
       std::strerror(error));
}

int exit_of(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// A file descriptor that is closed at the end of its block.
class Descriptor {
 public:
  Descriptor(const std::filesystem::path& path, int flags)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0666)) {
    DETENTE_CHECK(fd_ >= 0,
                  ErrorCode::kIo,
                  "[core::child_process] cannot write '{}': {}.",
                  path.string(),
                  std::strerror(errno));
  }
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

}  // namespace

int run_program(const std::vector<std::string>& arguments) {
  const auto argv = argument_list(arguments);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, argv[0], nullptr, nullptr, argv.data(), environ);
  if (error != 0) cannot_start(arguments.front(), error);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    DETENTE_CHECK(errno == EINTR,
                  ErrorCode::kIo,
                  "[core::child_process] lost the program '{}': {}.",
                  arguments.front(),
                  std::strerror(errno));
  }
  return exit_of(status);
}

ChildProcess::ChildProcess(const std::vector<std::string>& arguments,
                           const std::filesystem::path& log,
                           const std::filesystem::path& output) {
  // All that may fail or needs memory comes before fork(): other threads may hold locks.
  const auto argv = argument_list(arguments);
  const Descriptor nothing("/dev/null", O_RDONLY);
  const Descriptor errors(log, O_WRONLY | O_CREAT | O_APPEND);
  const Descriptor own(output.empty() ? std::filesystem::path("/dev/null") : output,
                       O_WRONLY | O_CREAT | O_TRUNC);
  int ends[2];
  DETENTE_CHECK(::pipe2(ends, O_CLOEXEC) == 0,
                ErrorCode::kIo,
                "[core::child_process] cannot make a pipe: {}.",
                std::strerror(errno));
  Descriptor told(ends[0]);
  Descriptor tells(ends[1]);
  const pid_t parent = ::getpid();
  const bool separate = !output.empty();
  pid_ = ::fork();
  if (pid_ < 0) cannot_start(arguments.front(), errno);
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    // A group of its own: Ctrl-C at a terminal is the parent's to pass on, or the child would get two.
    ::setpgid(0, 0);
    int error = ::getppid() == parent ? 0 : ESRCH;
    if (error == 0 && (::dup2(nothing.get(), STDIN_FILENO) < 0 ||
                       ::dup2(separate ? own.get() : errors.get(), STDOUT_FILENO) < 0 ||
                       ::dup2(errors.get(), STDERR_FILENO) < 0)) {
      error = errno;
    }
    if (error == 0) {
      ::execvp(argv[0], argv.data());
      error = errno;
    }
    // The pipe closes by itself when the program starts.
    const ssize_t ignored = ::write(tells.get(), &error, sizeof error);
    static_cast<void>(ignored);
    ::_exit(127);
  }
  tells.close();
  int error = 0;
  ssize_t count = 0;
  do {
    count = ::read(told.get(), &error, sizeof error);
  } while (count < 0 && errno == EINTR);
  if (count == sizeof error) {
    wait();
    cannot_start(arguments.front(), error);
  }
}

ChildProcess::~ChildProcess() {
  if (pid_ == 0 || code_) return;
  send(SIGTERM);
  wait();
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)), code_(other.code_) {}

std::optional<int> ChildProcess::reap(int options) {
  if (code_) return code_;
  int status = 0;
  pid_t ended = 0;
  do {
    ended = ::waitpid(pid_, &status, options);
  } while (ended < 0 && errno == EINTR);
  if (ended == pid_) code_ = exit_of(status);
  if (ended < 0) code_ = 127;  // somebody else has waited for it
  return code_;
}

std::optional<int> ChildProcess::poll() { return reap(WNOHANG); }
int ChildProcess::wait() { return *reap(0); }
void ChildProcess::send(int signal) const {
  if (pid_ > 0 && !code_) ::kill(pid_, signal);
}

}  // namespace detente
