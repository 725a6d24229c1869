// SPDX-License-Identifier: Apache-2.0
#include <detente/core/child_process.h>
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <detente/worlds/worker.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace detente::worlds {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMessage = 16;
constexpr std::size_t kLongestText = std::size_t{1} << 24;
constexpr std::size_t kKeptOutput = std::size_t{1} << 14;
constexpr std::size_t kLastLines = 12;
// How long an end that closes no socket (a grandchild holds it) may go unseen.
constexpr std::chrono::milliseconds kGlance{200};

// Reads the script from the socket, so that the program needs no file of its own beside it;
// tracebacks show the script's lines.
constexpr const char* kBootstrap = R"(
import linecache, os, socket, sys
connection = socket.socket(fileno=os.dup(0))
def take(count):
    taken = b""
    while len(taken) < count:
        part = connection.recv(count - len(taken))
        if not part:
            os._exit(0)
        taken += part
    return taken
text = take(int.from_bytes(take(8), "little")).decode()
linecache.cache["worker.py"] = (len(text), None, text.splitlines(True), "worker.py")
names = {"__name__": "detente_worker", "connection": connection, "take": take}
exec(compile(text, "worker.py", "exec"), names)
)";

std::string with_length(const std::string& text) {
  std::string sent;
  for (std::size_t i = 0; i < 8; ++i) sent += static_cast<char>((text.size() >> (8 * i)) & 0xff);
  return sent + text;
}

// False where nobody reads any more.
bool send_bytes(int socket, std::string_view bytes, int descriptor) {
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
    const ssize_t count = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
    descriptor = -1;
  }
  return true;
}

void close_if_open(int& descriptor) {
  if (descriptor >= 0) ::close(descriptor);
  descriptor = -1;
}

}  // namespace

Worker::Worker(const WorkerStart& start) {
  int sockets[2] = {-1, -1};
  int pipes[2] = {-1, -1};
  const auto close_all = [&] {
    for (int* one : {&sockets[0], &sockets[1], &pipes[0], &pipes[1]}) close_if_open(*one);
  };
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0 ||
      ::pipe2(pipes, O_CLOEXEC) != 0) {
    const int error = errno;
    close_all();
    fail(ErrorCode::kIo, "[worlds::Worker] cannot make a socket: {}.", std::strerror(error));
  }
  try {
    pid_ = start_program({.arguments = {start.python, "-u", "-X", "utf8", "-c", kBootstrap},
                          .variables = start.variables,
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
  // What does not fit the socket's buffer waits for Python to read; a program that is none ends, or
  // is not waited for longer than this.
  const timeval patience{.tv_sec = 20, .tv_usec = 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  send_bytes(socket_, with_length(start.script) + with_length(json_text(start.task, -1)), -1);
}

Worker::~Worker() {
  // Before it is reaped, while its number and its group's are its own.
  ::kill(-pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  close_if_open(socket_);
  close_if_open(output_);
}

void Worker::send(char kind, std::uint32_t argument, int descriptor) {
  const std::uint32_t words[] = {static_cast<std::uint32_t>(kind), argument};
  ++sequence_;
  std::string message(kMessage, '\0');
  std::memcpy(message.data(), words, sizeof words);
  std::memcpy(message.data() + sizeof words, &sequence_, sizeof sequence_);
  // Where it is gone, await() will find out.
  if (outcome_ == Outcome::kAnswer) outcome_ = Outcome::kPending;
  send_bytes(socket_, message, descriptor);
}

void Worker::read_answers() {
  char bytes[4096];
  while (outcome_ == Outcome::kPending) {
    const ssize_t count = ::recv(socket_, bytes, sizeof bytes, MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (count <= 0) {
      outcome_ = Outcome::kEnded;
      return;
    }
    incoming_.append(bytes, static_cast<std::size_t>(count));
    if (incoming_.size() < kMessage) continue;
    std::uint32_t words[2];
    std::uint64_t sequence = 0;
    std::memcpy(words, incoming_.data(), sizeof words);
    std::memcpy(&sequence, incoming_.data() + sizeof words, sizeof sequence);
    const bool known = words[0] < 128 && words[0] != 0 &&
                       std::strchr("HKNE", static_cast<int>(words[0])) != nullptr;
    if (!known || sequence != sequence_ || words[1] > kLongestText ||
        incoming_.size() > kMessage + words[1]) {
      outcome_ = Outcome::kForeign;
      return;
    }
    if (incoming_.size() < kMessage + words[1]) continue;
    kind_ = static_cast<char>(words[0]);
    text_ = incoming_.substr(kMessage);
    incoming_.clear();
    outcome_ = Outcome::kAnswer;
  }
}

void Worker::read_output() {
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

void Worker::look_whether_ended() {
  siginfo_t info{};
  if (exited_ ||
      ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
      info.si_pid != pid_) {
    return;
  }
  exited_ = true;
  by_signal_ = info.si_code != CLD_EXITED;
  code_ = info.si_status;
  read_output();
  // Its last answer may be there still: an exception's traceback comes just before the end.
  read_answers();
  if (outcome_ == Outcome::kPending) outcome_ = Outcome::kEnded;
}

std::string Worker::ending() const {
  if (!exited_) return "closed its connection";
  return by_signal_ ? fmt::format("was ended by signal {} ({})", code_, ::strsignal(code_))
                    : fmt::format("ended with exit code {}", code_);
}

std::string Worker::last_words() const {
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

void await(std::span<Worker* const> workers, Clock::time_point deadline) {
  for (;;) {
    std::vector<pollfd> watched;
    bool pending = false;
    for (Worker* worker : workers) {
      if (worker->outcome_ != Worker::Outcome::kPending) continue;
      pending = true;
      watched.push_back({worker->socket_, POLLIN, 0});
      if (worker->output_ >= 0) watched.push_back({worker->output_, POLLIN, 0});
    }
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (!pending || left.count() < 0) return;
    const auto wait = std::min<std::int64_t>(left.count() + 1, kGlance.count());
    const int ready = ::poll(watched.data(), watched.size(), static_cast<int>(wait));
    for (Worker* worker : workers) {
      if (worker->outcome_ != Worker::Outcome::kPending) continue;
      worker->read_answers();
      worker->read_output();
      if (ready <= 0) worker->look_whether_ended();
      // The socket closes a moment before the process has ended.
      for (int i = 0; i < 100 && worker->outcome_ == Worker::Outcome::kEnded && !worker->exited_;
           ++i) {
        worker->look_whether_ended();
        if (!worker->exited_) ::usleep(2000);
      }
    }
  }
}

}  // namespace detente::worlds
