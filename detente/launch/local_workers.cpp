// SPDX-License-Identifier: Apache-2.0
#include <detente/core/child_process.h>
#include <detente/core/error.h>
#include <detente/launch/addresses.h>
#include <detente/launch/internal/signal_pipe.h>
#include <detente/launch/launch.h>
#include <detente/launch/local_workers.h>
#include <detente/launch/worker_output.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <optional>
#include <ostream>
#include <random>

namespace detente::launch {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kInterrupted = 130;

struct Worker {
  int rank = 0;
  pid_t pid = 0;
  int pipe = -1;  // what it says; rank 0 says it itself
  MarkedLines lines{""};
  std::optional<int> status;    // as wait() gives it
  std::uint64_t passed_on = 0;  // bit n: signal n was passed on to it
  bool ended_by_us = false;
};

enum class End { kGood, kByUs, kInterrupted, kLostOthers, kFault };

End end_of(const Worker& worker) {
  const int status = worker.status.value_or(0);
  const bool signalled = WIFSIGNALED(status);
  const int code = signalled ? 0 : WEXITSTATUS(status);
  if (!signalled && code == 0) return End::kGood;
  if (worker.ended_by_us) return End::kByUs;
  if (signalled) {
    const bool passed_on = ((worker.passed_on >> WTERMSIG(status)) & 1U) != 0;
    return passed_on ? End::kInterrupted : End::kFault;
  }
  return code == kInterrupted  ? End::kInterrupted
         : code == kLostOthers ? End::kLostOthers
                               : End::kFault;
}

int exit_of(const Worker& worker) {
  const int status = worker.status.value_or(0);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::string words_of(const Worker& worker) {
  const int status = worker.status.value_or(0);
  const std::string who = fmt::format("rank {} (process {})", worker.rank, worker.pid);
  if (!WIFSIGNALED(status)) {
    return fmt::format("{} ended with exit code {}", who, WEXITSTATUS(status));
  }
  const int signal = WTERMSIG(status);
  const char* name = ::sigabbrev_np(signal);
  return fmt::format("{} was ended by {}{}",
                     who,
                     name == nullptr ? fmt::format("signal {}", signal) : std::string("SIG") + name,
                     signal == SIGKILL ? " (where nobody sent it: memory ran out, see dmesg)" : "");
}

std::string new_job() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

// The workers of one attempt.
class Team {
 public:
  Team(const LocalWorkers& plan, const SignalPipe& signals, std::ostream& err)
      : plan_(plan), signals_(signals), err_(err) {}
  ~Team() {
    // Left early, by an exception: nothing of it may stay behind.
    kill_all();
    for (Worker& worker : team_) {
      if (!worker.status && worker.pid > 0) {
        while (::waitpid(worker.pid, nullptr, 0) < 0 && errno == EINTR) {
        }
      }
      close_pipe(worker);
    }
  }
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  void start(const std::string& job, int restart) {
    const int attempt = plan_.attempt + restart;
    const std::vector<std::string> command = plan_.command(restart);
    const int port = free_loopback_port();
    team_.reserve(static_cast<std::size_t>(plan_.count));
    for (int rank = 0; rank < plan_.count; ++rank) {
      Worker& worker = team_.emplace_back();
      worker.rank = rank;
      worker.lines = MarkedLines(fmt::format("[{}] ", rank));
      start_one(worker, command, variables_of(rank, port, job, attempt));
    }
  }

  // Until all have ended.
  void watch() {
    while (std::any_of(team_.begin(), team_.end(), [](const auto& one) { return !one.status; })) {
      wait_for_something();
      for (const int signal : signals_.take()) answer(signal);
      reap();
      keep_time();
    }
    // A program that a worker has started may hold its pipe for ever: what is there now is all.
    for (Worker& worker : team_) {
      read_pipe(worker);
      close_pipe(worker);
    }
  }

  void tell(const char* word, const std::string& text) {
    say(fmt::format("{}: [launch::run_local_workers] {}\n", word, text));
  }

  struct Verdict {
    int code = 0;
    bool curable = false;  // by another start
  };

  Verdict verdict() {
    if (const Worker* worker = first(End::kFault)) {
      return {exit_of(*worker), interrupts_ == 0 && WIFSIGNALED(*worker->status)};
    }
    if (interrupts_ > 0 || first(End::kInterrupted) != nullptr) return {kInterrupted, false};
    const Worker* worker = first(End::kLostOthers);
    if (worker == nullptr) return {};
    tell("error",
         fmt::format("rank {} lost the others (exit code {}), and none failed by its own fault{}.",
                     worker->rank,
                     kLostOthers,
                     silent_.empty() ? ""
                                     : fmt::format("; it was rank {} that did not answer",
                                                   fmt::join(silent_, ", "))));
    return {kLostOthers, true};
  }

 private:
  const Worker* first(End kind) const {
    for (const std::size_t index : order_) {
      if (end_of(team_[index]) == kind) return &team_[index];
    }
    return nullptr;
  }

  std::vector<std::pair<std::string, std::string>> variables_of(int rank,
                                                                int port,
                                                                const std::string& job,
                                                                int attempt) const {
    auto variables = plan_.variables;
    const std::vector<std::pair<std::string, std::string>> own = {
        {"DETENTE_LAUNCHER", "detente"},
        {"DETENTE_JOB", job},
        {"DETENTE_ATTEMPT", std::to_string(attempt)},
        {"RANK", std::to_string(rank)},
        {"WORLD_SIZE", std::to_string(plan_.count)},
        {"LOCAL_RANK", std::to_string(rank)},
        {"LOCAL_WORLD_SIZE", std::to_string(plan_.count)},
        {"MASTER_ADDR", "127.0.0.1"},
        {"MASTER_PORT", std::to_string(port)}};
    variables.insert(variables.end(), own.begin(), own.end());
    return variables;
  }

  void start_one(Worker& worker,
                 const std::vector<std::string>& command,
                 const std::vector<std::pair<std::string, std::string>>& variables) {
    int ends[2] = {-1, -1};
    DETENTE_CHECK(worker.rank == 0 || ::pipe2(ends, O_CLOEXEC) == 0,
                  ErrorCode::kIo,
                  "[launch::run_local_workers] cannot make a pipe for rank {}: {}. Start fewer, or "
                  "raise the limit (ulimit -n).",
                  worker.rank,
                  std::strerror(errno));
    worker.pipe = ends[0];
    if (worker.pipe >= 0) ::fcntl(worker.pipe, F_SETFL, O_NONBLOCK);
    const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    try {
      worker.pid = start_program({.arguments = command,
                                  .variables = variables,
                                  .input = nothing,
                                  .output = ends[1],
                                  .errors = ends[1],
                                  .at_parents_end = SIGKILL});
    } catch (...) {
      ::close(nothing);
      if (ends[1] >= 0) ::close(ends[1]);
      throw;
    }
    ::close(nothing);
    if (ends[1] >= 0) ::close(ends[1]);
  }

  void wait_for_something() {
    std::vector<pollfd> watched = {{signals_.descriptor(), POLLIN, 0}};
    std::vector<Worker*> whose = {nullptr};
    for (Worker& worker : team_) {
      if (worker.pipe < 0) continue;
      watched.push_back({worker.pipe, POLLIN, 0});
      whose.push_back(&worker);
    }
    int timeout = -1;
    if (deadline_) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(*deadline_ - Clock::now());
      timeout = static_cast<int>(std::clamp<std::int64_t>(left.count() + 1, 0, 60000));
    }
    if (::poll(watched.data(), watched.size(), timeout) <= 0) return;
    for (std::size_t i = 1; i < watched.size(); ++i) {
      if (watched[i].revents != 0) read_pipe(*whose[i]);
    }
  }

  void read_pipe(Worker& worker) {
    char bytes[16384];
    while (worker.pipe >= 0) {
      const ssize_t count = ::read(worker.pipe, bytes, sizeof bytes);
      if (count > 0) {
        say(worker.lines.add({bytes, static_cast<std::size_t>(count)}));
        // One that never stops must not keep the signals and the others waiting.
        if (count < static_cast<ssize_t>(sizeof bytes)) return;
        if (!worker.status) return;
      } else if (count == 0) {
        close_pipe(worker);
      } else if (errno != EINTR) {
        return;
      }
    }
  }

  void close_pipe(Worker& worker) {
    say(worker.lines.rest());
    if (worker.pipe >= 0) ::close(worker.pipe);
    worker.pipe = -1;
  }

  void say(const std::string& lines) {
    if (lines.empty()) return;
    // At once, so that rank 0's own words do not come between; over what it draws on a terminal.
    err_ << (plan_.terminal ? "\r\x1b[K" + lines : lines) << std::flush;
  }

  void answer(int signal) {
    switch (signal) {
      case SIGTSTP:
        send_all(SIGSTOP);
        ::raise(SIGSTOP);
        send_all(SIGCONT);
        return;
      case SIGINT:
      case SIGTERM:
      case SIGHUP:
        ++interrupts_;
        pass_on(signal);
        if (interrupts_ == 2 && !killing_at_) killing_at_ = deadline_ = Clock::now() + plan_.grace;
        if (interrupts_ > 2) kill_all();
        return;
      case SIGUSR1:
        pass_on(signal);
        return;
      default:  // SIGCHLD: reap() sees to it
        return;
    }
  }

  void pass_on(int signal) {
    for (Worker& worker : team_) {
      if (worker.status || worker.pid <= 0) continue;
      worker.passed_on |= std::uint64_t{1} << signal;
      ::kill(worker.pid, signal);
    }
  }

  // To what workers have started, too.
  void send_all(int signal) const {
    for (const Worker& worker : team_) {
      if (!worker.status && worker.pid > 0) ::kill(-worker.pid, signal);
    }
  }

  void kill_all() {
    for (Worker& worker : team_) {
      if (worker.status || worker.pid <= 0) continue;
      worker.ended_by_us = true;
      if (std::find(silent_.begin(), silent_.end(), worker.rank) == silent_.end()) {
        silent_.push_back(worker.rank);
      }
      ::kill(-worker.pid, SIGKILL);
    }
  }

  void reap() {
    for (std::size_t i = 0; i < team_.size(); ++i) {
      Worker& worker = team_[i];
      int status = 0;
      if (worker.status || ::waitpid(worker.pid, &status, WNOHANG) != worker.pid) continue;
      worker.status = status;
      order_.push_back(i);
      read_pipe(worker);  // its last words before ours about it
      const End kind = end_of(worker);
      const bool others = order_.size() < team_.size() && !ending_at_;
      if (kind == End::kFault) {
        tell("error", words_of(worker) + (others ? "; the others are ended." : "."));
      }
      const bool failed = kind == End::kFault || kind == End::kLostOthers;
      if (failed && !ending_at_ && !killing_at_)
        ending_at_ = deadline_ = Clock::now() + plan_.settle;
    }
  }

  void keep_time() {
    if (!deadline_ || Clock::now() < *deadline_) return;
    deadline_.reset();
    if (killing_at_) {
      kill_all();
      if (!silent_.empty()) {
        tell("warning",
             fmt::format("rank {} had not ended {} ms after it was told to, and was killed.",
                         fmt::join(silent_, ", "),
                         plan_.grace.count()));
      }
      return;
    }
    killing_at_ = deadline_ = Clock::now() + plan_.grace;
    reap();  // who has ended by itself meanwhile was not ended by us
    for (Worker& worker : team_) {
      if (worker.status) continue;
      worker.ended_by_us = true;
      ::kill(worker.pid, SIGTERM);
    }
  }

  const LocalWorkers& plan_;
  const SignalPipe& signals_;
  std::ostream& err_;
  std::vector<Worker> team_;
  std::vector<std::size_t> order_;  // in which they ended
  std::vector<int> silent_;
  int interrupts_ = 0;
  std::optional<Clock::time_point> ending_at_;   // SIGTERM for all
  std::optional<Clock::time_point> killing_at_;  // SIGKILL for all
  std::optional<Clock::time_point> deadline_;    // the next of both
};

}  // namespace

int run_local_workers(const LocalWorkers& workers, std::ostream& err) {
  DETENTE_CHECK(workers.count >= 1 && workers.count <= kMostLocalWorkers,
                ErrorCode::kInvalidArgument,
                "[launch::run_local_workers] the number of processes must be 1 to {}, got {}.",
                kMostLocalWorkers,
                workers.count);
  DETENTE_CHECK(workers.max_restarts >= 0,
                ErrorCode::kInvalidArgument,
                "[launch::run_local_workers] the number of restarts must be >= 0, got {}.",
                workers.max_restarts);
  const SignalPipe signals;
  const std::string job = new_job();
  for (int restart = 0;; ++restart) {
    Team team(workers, signals, err);
    team.start(job, restart);
    team.watch();
    const Team::Verdict verdict = team.verdict();
    if (verdict.code == 0 || verdict.code == kInterrupted || workers.max_restarts == 0) {
      return verdict.code;
    }
    if (!verdict.curable) {
      team.tell("error",
                "nothing is started again: --max-restarts is for processes that a signal ended or "
                "that lost the others, and this error would come again.");
      return verdict.code;
    }
    if (restart == workers.max_restarts) {
      team.tell("error", fmt::format("started again {} times, and failed each time.", restart));
      return verdict.code;
    }
    team.tell("warning",
              fmt::format("all {} are started again, for time {} of at most {}.",
                          workers.count,
                          restart + 1,
                          workers.max_restarts));
  }
}

}  // namespace detente::launch
