// SPDX-License-Identifier: Apache-2.0
#include <detente/core/child_process.h>
#include <detente/core/error.h>
#include <detente/core/worker_process.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace detente {
namespace {

constexpr std::size_t kKeptOutput = std::size_t{1} << 14;
constexpr std::size_t kLastLines = 12;

void close_if_open(int& descriptor) {
  if (descriptor >= 0) ::close(descriptor);
  descriptor = -1;
}

}  // namespace

WorkerProcess::WorkerProcess(const std::vector<std::string>& arguments,
                             const std::vector<std::pair<std::string, std::string>>& variables) {
  int sockets[2] = {-1, -1};
  int pipes[2] = {-1, -1};
  const auto close_all = [&] {
    for (int* one : {&sockets[0], &sockets[1], &pipes[0], &pipes[1]}) close_if_open(*one);
  };
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0 ||
      ::pipe2(pipes, O_CLOEXEC) != 0) {
    const int error = errno;
    close_all();
    fail(ErrorCode::kIo, "[core::WorkerProcess] cannot make a socket: {}.", std::strerror(error));
  }
  try {
    pid_ = start_program({.arguments = arguments,
                          .variables = variables,
                          .input = sockets[1],
                          .output = pipes[1],
                          .errors = pipes[1],
                          .at_parents_end = SIGKILL});
  } catch (...) {
    close_all();
    throw;
  }
  close_if_open(sockets[1]);
  close_if_open(pipes[1]);
  socket_ = sockets[0];
  output_ = pipes[0];
  ::fcntl(output_, F_SETFL, O_NONBLOCK);
  // What does not fit the socket's buffer waits for the worker to read; a program that is none ends,
  // or is not waited for longer than this.
  const timeval patience{.tv_sec = 20, .tv_usec = 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

WorkerProcess::~WorkerProcess() {
  // Before it is reaped, while its number and its group's are its own.
  ::kill(-pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  close_if_open(socket_);
  close_if_open(output_);
}

bool WorkerProcess::send(std::string_view bytes, int descriptor) {
  while (!bytes.empty()) {
    iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    if (descriptor >= 0) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
    }
    const ssize_t count = ::sendmsg(socket_, &message, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
    descriptor = -1;
  }
  return true;
}

bool WorkerProcess::receive(std::string& incoming, std::size_t most) {
  char bytes[4096];
  while (incoming.size() < most) {
    const std::size_t room = std::min(sizeof bytes, most - incoming.size());
    const ssize_t count = ::recv(socket_, bytes, room, MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
    if (count <= 0) return false;
    incoming.append(bytes, static_cast<std::size_t>(count));
  }
  return true;
}

void WorkerProcess::read_output() {
  char bytes[4096];
  // At most so much at a time: one that never stops must not keep the others waiting.
  for (int i = 0; output_ >= 0 && i < 64; ++i) {
    const ssize_t count = ::read(output_, bytes, sizeof bytes);
    if (count == 0) close_if_open(output_);
    if (count <= 0) return;
    printed_.append(bytes, static_cast<std::size_t>(count));
    if (printed_.size() > kKeptOutput) printed_.erase(0, printed_.size() - kKeptOutput / 2);
  }
}

bool WorkerProcess::has_ended() {
  siginfo_t info{};
  if (exited_) return true;
  if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
      info.si_pid != pid_) {
    return false;
  }
  exited_ = true;
  by_signal_ = info.si_code != CLD_EXITED;
  code_ = info.si_status;
  read_output();
  return true;
}

std::string WorkerProcess::ending() const {
  if (!exited_) return "closed its connection";
  return by_signal_ ? fmt::format("was ended by signal {} ({})", code_, ::strsignal(code_))
                    : fmt::format("ended with exit code {}", code_);
}

std::string WorkerProcess::last_words() const {
  std::string_view text = printed_;
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  std::size_t begin = text.size();
  for (std::size_t lines = 0; begin > 0 && lines < kLastLines; ++lines) {
    const std::size_t end = text.rfind('\n', begin - 1);
    if (end == std::string_view::npos) return std::string(text);
    begin = end;
  }
  return std::string(text.substr(begin == 0 ? 0 : begin + 1));
}

}  // namespace detente
