// SPDX-License-Identifier: Apache-2.0
#include <detente/core/interrupt.h>
#include <unistd.h>

namespace detente {
namespace {

volatile std::sig_atomic_t interrupt_count = 0;
volatile std::sig_atomic_t asked_to_end = 0;

void interrupt_handler(int /*signal*/) {
  if (interrupt_count > 0) ::_exit(130);
  interrupt_count = 1;
}

// Some minutes before a job's end (`sbatch --signal=USR1@120`); the SIGTERM that comes then is the first.
void ask_handler(int /*signal*/) { asked_to_end = 1; }

void take_unless_ignored(int signal, const struct sigaction& action, struct sigaction& old) {
  sigaction(signal, nullptr, &old);
  if (old.sa_handler != SIG_IGN) sigaction(signal, &action, nullptr);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  interrupt_count = 0;
  asked_to_end = 0;
  struct sigaction action {};
  action.sa_handler = interrupt_handler;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  take_unless_ignored(SIGINT, action, old_int_);
  take_unless_ignored(SIGHUP, action, old_hangup_);
  sigaction(SIGTERM, &action, &old_term_);
  action.sa_handler = ask_handler;
  sigaction(SIGUSR1, &action, &old_user_);
}

InterruptGuard::~InterruptGuard() {
  sigaction(SIGINT, &old_int_, nullptr);
  sigaction(SIGTERM, &old_term_, nullptr);
  sigaction(SIGHUP, &old_hangup_, nullptr);
  sigaction(SIGUSR1, &old_user_, nullptr);
}

bool InterruptGuard::interrupted() const { return interrupt_count > 0 || asked_to_end > 0; }

}  // namespace detente
