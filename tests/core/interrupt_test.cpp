// SPDX-License-Identifier: Apache-2.0
#include <detente/core/interrupt.h>
#include <gtest/gtest.h>

#include <csignal>

namespace detente {
namespace {

using Handler = void (*)(int);

// The handler of a signal, for a while.
class Handled {
 public:
  Handled(int signal, Handler handler) : signal_(signal), before_(std::signal(signal, handler)) {}
  ~Handled() { std::signal(signal_, before_); }
  Handled(const Handled&) = delete;
  Handled& operator=(const Handled&) = delete;

 private:
  int signal_;
  Handler before_;
};

Handler handler_of(int signal) {
  struct sigaction found {};
  sigaction(signal, nullptr, &found);
  return found.sa_handler;
}

TEST(InterruptGuard, TakesTheThreeSignals) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const Handled before(signal, SIG_DFL);
    const InterruptGuard guard;
    EXPECT_FALSE(guard.interrupted());
    std::raise(signal);
    EXPECT_TRUE(guard.interrupted()) << signal;
  }
}

TEST(InterruptGuard, LeavesAloneWhatTheShellHasSetToBeIgnored) {
  for (const int signal : {SIGINT, SIGHUP}) {
    const Handled before(signal, SIG_IGN);
    {
      const InterruptGuard guard;
      std::raise(signal);
      EXPECT_FALSE(guard.interrupted()) << signal;
      std::raise(SIGTERM);
      EXPECT_TRUE(guard.interrupted());
    }
    EXPECT_EQ(handler_of(signal), SIG_IGN);
  }
}

TEST(InterruptGuard, AlwaysTakesSigterm) {
  const Handled before(SIGTERM, SIG_IGN);
  const InterruptGuard guard;
  std::raise(SIGTERM);
  EXPECT_TRUE(guard.interrupted());
}

TEST(InterruptGuard, BringsTheEarlierHandlersBack) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const Handled before(signal, [](int) {});
    const Handler own = handler_of(signal);
    { const InterruptGuard guard; }
    EXPECT_EQ(handler_of(signal), own);
  }
}

}  // namespace
}  // namespace detente
