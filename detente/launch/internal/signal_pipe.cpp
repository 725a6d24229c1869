// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/launch/internal/signal_pipe.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace detente::launch {
namespace {

volatile std::sig_atomic_t write_end = -1;

void note_signal(int signal) {
  const int error = errno;
  const auto byte = static_cast<unsigned char>(signal);
  // A full pipe has enough to wake the loop, and what fills it are ends of processes.
  const ssize_t ignored = ::write(write_end, &byte, 1);
  static_cast<void>(ignored);
  errno = error;
}

}  // namespace

SignalPipe::SignalPipe() {
  DETENTE_CHECK(::pipe2(ends_, O_CLOEXEC | O_NONBLOCK) == 0,
                ErrorCode::kIo,
                "[launch::run_local_workers] cannot make a pipe: {}.",
                std::strerror(errno));
  write_end = ends_[1];
  struct sigaction action {};
  action.sa_handler = note_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART | SA_NOCLDSTOP;
  for (const int signal : {SIGINT, SIGHUP, SIGTSTP, SIGTERM, SIGUSR1, SIGCHLD}) {
    struct sigaction before {};
    sigaction(signal, nullptr, &before);
    const bool may_be_ignored = signal == SIGINT || signal == SIGHUP || signal == SIGTSTP;
    if (may_be_ignored && before.sa_handler == SIG_IGN) continue;
    sigaction(signal, &action, nullptr);
    before_.emplace_back(signal, before);
  }
}

SignalPipe::~SignalPipe() {
  for (const auto& [signal, before] : before_) sigaction(signal, &before, nullptr);
  write_end = -1;
  ::close(ends_[0]);
  ::close(ends_[1]);
}

std::vector<int> SignalPipe::take() const {
  std::vector<int> signals;
  unsigned char bytes[64];
  ssize_t count = 0;
  while ((count = ::read(ends_[0], bytes, sizeof bytes)) > 0) {
    signals.insert(signals.end(), bytes, bytes + count);
  }
  return signals;
}

}  // namespace detente::launch
