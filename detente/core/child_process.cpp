// SPDX-License-Identifier: Apache-2.0
#include <detente/core/child_process.h>
#include <detente/core/error.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>
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

// This program's environment with some variables set anew, as NAME=value.
std::vector<std::string> environment_with(
    const std::vector<std::pair<std::string, std::string>>& variables) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    if (std::none_of(variables.begin(), variables.end(), [&](const auto& one) {
          return one.first == name;
        })) {
      result.emplace_back(text);
    }
  }
  for (const auto& [name, value] : variables) result.push_back(name + "=" + value);
  return result;
}

// In the child, before its signals are let in: a handler of the parent's would write to the parent's pipes.
void forget_handlers() {
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) != 0 || action.sa_handler == SIG_IGN) continue;
    action = {};
    action.sa_handler = SIG_DFL;
    ::sigaction(signal, &action, nullptr);
  }
}

// All of it may be called between fork() and exec: other threads may have held locks.
int become(const ProgramStart& start,
           char* const* arguments,
           char* const* environment,
           pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, start.at_parents_end);
  if (::getppid() != parent) return ESRCH;
  if ((start.input >= 0 && ::dup2(start.input, STDIN_FILENO) < 0) ||
      (start.output >= 0 && ::dup2(start.output, STDOUT_FILENO) < 0) ||
      (start.errors >= 0 && ::dup2(start.errors, STDERR_FILENO) < 0)) {
    return errno;
  }
  // `stty tostop` would stop it at its first word to the terminal: its group is in the background.
  if (start.output < 0 || start.errors < 0) std::signal(SIGTTOU, SIG_IGN);
  ::execvpe(arguments[0], arguments, environment);
  return errno;
}

}  // namespace

std::filesystem::path own_program() { return std::filesystem::read_symlink("/proc/self/exe"); }

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

pid_t start_program(const ProgramStart& start) {
  // All that may fail or needs memory comes before fork().
  const auto argv = argument_list(start.arguments);
  const auto environment = environment_with(start.variables);
  const auto variables = argument_list(environment);
  int ends[2];
  DETENTE_CHECK(::pipe2(ends, O_CLOEXEC) == 0,
                ErrorCode::kIo,
                "[core::child_process] cannot make a pipe: {}.",
                std::strerror(errno));
  Descriptor told(ends[0]);
  Descriptor tells(ends[1]);
  const pid_t parent = ::getpid();
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t child = ::fork();
  const int fork_error = errno;
  if (child == 0) {
    forget_handlers();
    sigset_t none;
    sigemptyset(&none);
    // In its own group first: what the terminal sends meanwhile is the parent's to pass on.
    ::setpgid(0, 0);
    pthread_sigmask(SIG_SETMASK, &none, nullptr);
    const int error = become(start, argv.data(), variables.data(), parent);
    // The pipe closes by itself when the program starts.
    const ssize_t ignored = ::write(tells.get(), &error, sizeof error);
    static_cast<void>(ignored);
    ::_exit(127);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (child < 0) cannot_start(start.arguments.front(), fork_error);
  tells.close();
  int error = 0;
  ssize_t count = 0;
  do {
    count = ::read(told.get(), &error, sizeof error);
  } while (count < 0 && errno == EINTR);
  if (count == sizeof error) {
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
    cannot_start(start.arguments.front(), error);
  }
  return child;
}

ChildProcess::ChildProcess(const std::vector<std::string>& arguments,
                           const std::filesystem::path& log,
                           const std::filesystem::path& output) {
  const Descriptor nothing("/dev/null", O_RDONLY);
  const Descriptor errors(log, O_WRONLY | O_CREAT | O_APPEND);
  const Descriptor own(output.empty() ? std::filesystem::path("/dev/null") : output,
                       O_WRONLY | O_CREAT | O_TRUNC);
  pid_ = start_program({.arguments = arguments,
                        .input = nothing.get(),
                        .output = output.empty() ? errors.get() : own.get(),
                        .errors = errors.get()});
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
