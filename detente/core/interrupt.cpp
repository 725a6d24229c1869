// SPDX-License-Identifier: Apache-2.0
#include <detente/core/interrupt.h>
#include <unistd.h>

#include <atomic>

namespace detente {
namespace {

// Atomic, since any thread may be the one that a signal interrupts while others ask.
std::atomic<bool> is_interrupted = false;
std::atomic<bool> asked_to_end = false;
static_assert(std::atomic<bool>::is_always_lock_free, "a handler must not wait for a lock");

void interrupt_handler(int /*signal*/) {
  if (is_interrupted.exchange(true)) ::_exit(130);
}

// Some minutes before a job's end (`sbatch --signal=USR1@120`); the SIGTERM that comes then is the first.
void ask_handler(int /*signal*/) { asked_to_end = true; }

void take_unless_ignored(int signal, const struct sigaction& action, struct sigaction& old) {
  sigaction(signal, nullptr, &old);
  if (old.sa_handler != SIG_IGN) sigaction(signal, &action, nullptr);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  is_interrupted = false;
  asked_to_end = false;
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

bool InterruptGuard::interrupted() const { return is_interrupted || asked_to_end; }

}  // namespace detente
