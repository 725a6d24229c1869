// SPDX-License-Identifier: Apache-2.0
#include <detente/train/interrupt.h>
#include <unistd.h>

namespace detente::train {
namespace {

volatile std::sig_atomic_t interrupt_count = 0;

void interrupt_handler(int /*signal*/) {
  if (interrupt_count > 0) ::_exit(130);
  interrupt_count = 1;
}

}  // namespace

InterruptGuard::InterruptGuard() {
  interrupt_count = 0;
  struct sigaction action {};
  action.sa_handler = interrupt_handler;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, &old_int_);
  sigaction(SIGTERM, &action, &old_term_);
  sigaction(SIGHUP, nullptr, &old_hangup_);
  if (old_hangup_.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
}

InterruptGuard::~InterruptGuard() {
  sigaction(SIGINT, &old_int_, nullptr);
  sigaction(SIGTERM, &old_term_, nullptr);
  sigaction(SIGHUP, &old_hangup_, nullptr);
}

bool InterruptGuard::interrupted() const { return interrupt_count > 0; }

}  // namespace detente::train
