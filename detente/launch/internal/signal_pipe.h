// SPDX-License-Identifier: Apache-2.0
// Signals as bytes of a pipe, so that a loop that waits for descriptors sees them. While it lives it takes
// SIGTERM, SIGUSR1, SIGCHLD, and, unless they are ignored, SIGINT, SIGHUP and SIGTSTP; the earlier handlers
// come back when it goes. One at a time. (A signalfd would miss what a thread of a library receives that has
// not blocked the signal, as OpenBLAS's threads have not.)
#pragma once

#include <csignal>
#include <utility>
#include <vector>

namespace detente::launch {

class SignalPipe {
 public:
  SignalPipe();
  ~SignalPipe();
  SignalPipe(const SignalPipe&) = delete;
  SignalPipe& operator=(const SignalPipe&) = delete;

  int descriptor() const { return ends_[0]; }
  // What has come since, in its order.
  std::vector<int> take() const;

 private:
  int ends_[2] = {-1, -1};
  std::vector<std::pair<int, struct sigaction>> before_;
};

}  // namespace detente::launch
