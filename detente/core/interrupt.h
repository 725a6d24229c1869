// SPDX-License-Identifier: Apache-2.0
// Ctrl-C (SIGINT), SIGTERM and SIGHUP (the terminal is gone) as a flag that a long loop can ask; a
// second one ends the program at once. SIGUSR1, by which a scheduler says that a job's time will be over
// soon, is another such request, but for that. A SIGINT that is ignored (a shell's script does that for its
// jobs in the background) stays so, and so does a SIGHUP (nohup); SIGTERM is always taken. The
// earlier handlers come back when the guard goes.
#pragma once

#include <csignal>

namespace detente {

class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  bool interrupted() const;

 private:
  struct sigaction old_int_ {};
  struct sigaction old_term_ {};
  struct sigaction old_hangup_ {};
  struct sigaction old_user_ {};
};

}  // namespace detente
