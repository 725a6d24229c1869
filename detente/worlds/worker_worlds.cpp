// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/worlds/internal/hello.h>
#include <detente/worlds/worker_worlds.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <numeric>

namespace detente::worlds {
namespace {

using Clock = std::chrono::steady_clock;
using Outcome = Worker::Outcome;

constexpr const char* kWorkersKind = "workers";
constexpr std::chrono::milliseconds kGoodbye{2000};

Clock::time_point in_seconds(double seconds) {
  return Clock::now() +
         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

bool all_finite(const float* values, std::size_t count) {
  return std::all_of(values, values + count, [](float value) { return std::isfinite(value); });
}

// An end of a sentence about a worker; what it printed stands under it.
std::string with_last_words(const Worker& worker, const std::string& text) {
  const std::string words = worker.last_words();
  return words.empty() ? text : text + " Its last words:\n" + words;
}

}  // namespace

WorkerWorlds::WorkerWorlds(WorkerOptions options) : options_(std::move(options)) {
  asked_workers_ = internal::checked_workers(options_);
  seats_.resize(asked_workers_);
  for (std::size_t w = 0; w < asked_workers_; ++w) seats_[w].worker = start(w);
  std::vector<std::size_t> all(asked_workers_);
  std::iota(all.begin(), all.end(), std::size_t{0});
  await_all(all, options_.start_limit);
  std::vector<Json> hellos;
  for (const Seat& seat : seats_) hellos.push_back(internal::hello_of(*seat.worker, options_));
  facts_ = hellos.front().value("facts", Json::object());
  std::vector<std::vector<std::size_t>> tasks;
  spec_ = internal::spec_of(hellos, tasks);
  for (std::size_t w = 0; w < asked_workers_; ++w) seats_[w].tasks = tasks[w];
  // More workers than tasks: those without are let go.
  while (seats_.size() > spec_.tasks.size()) seats_.pop_back();
  for (Seat& seat : seats_) give_frame(seat);
  episodes_.assign(spec_.tasks.size(), 0);
  observations_.assign(spec_.tasks.size() * spec_.observation, 0.0F);
  expert_actions_.assign(spec_.tasks.size() * spec_.action, 0.0F);
  step_.resize(spec_);
}

WorkerWorlds::~WorkerWorlds() {
  // Environments may have files and windows to close. They are told, and not waited for long.
  std::vector<Worker*> told;
  for (Seat& seat : seats_) {
    if (seat.worker == nullptr || seat.worker->outcome() != Outcome::kAnswer) continue;
    seat.worker->send('Q');
    told.push_back(seat.worker.get());
  }
  await(told, Clock::now() + kGoodbye);
}

std::unique_ptr<Worker> WorkerWorlds::start(std::size_t index) const {
  WorkerStart start{.python = python_of(options_),
                    .script = options_.script,
                    .task = internal::task_of_worker(options_, index, asked_workers_),
                    .variables = options_.variables};
  // W workers have a core each; a numerical library that takes all of them makes each slower.
  for (const char* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}) {
    if (std::getenv(name) == nullptr) start.variables.emplace_back(name, "1");
  }
  return std::make_unique<Worker>(start);
}

void WorkerWorlds::await_all(const std::vector<std::size_t>& seats, double seconds) const {
  std::vector<Worker*> workers;
  for (const std::size_t w : seats) workers.push_back(seats_[w].worker.get());
  await(workers, in_seconds(seconds));
}

void WorkerWorlds::give_frame(Seat& seat) const {
  seat.frame = std::make_unique<SharedFrame>(
      FrameLayout(seat.tasks.size(), spec_.observation, spec_.action));
  seat.worker->send('F', 0, seat.frame->descriptor());
  Worker* const worker = seat.worker.get();
  await({&worker, 1}, in_seconds(options_.step_limit));
  DETENTE_CHECK(worker->outcome() == Outcome::kAnswer && worker->kind() == 'K',
                ErrorCode::kPeerLost,
                "[worlds::WorkerWorlds] a worker does not take the shared memory: it {}. {}",
                worker->outcome() == Outcome::kPending ? "does not answer" : worker->ending(),
                with_last_words(*worker, worker->text()));
}

void WorkerWorlds::ask(Seat& seat, char kind, std::uint32_t argument) const {
  for (std::size_t i = 0; i < seat.tasks.size(); ++i) {
    seat.frame->episodes()[i] = episodes_[seat.tasks[i]];
  }
  seat.worker->send(kind, argument);
}

void WorkerWorlds::give_up(const std::string& why) {
  failed_ = why;
  fail(ErrorCode::kPeerLost, "[worlds::WorkerWorlds] {}", why);
}

void WorkerWorlds::count_loss(Loss loss, const std::string& words) {
  std::int64_t* const counts[] = {
      &losses_.ended, &losses_.timed_out, &losses_.raised, &losses_.not_finite};
  ++*counts[static_cast<std::size_t>(loss)];
  losses_.last = words;
  if (options_.say) options_.say(words);
  if (losses_.all() > options_.most_losses) {
    give_up(
        fmt::format("episodes were lost {} times, {} are allowed (most_losses). The last time: {}",
                    losses_.all(),
                    options_.most_losses,
                    words));
  }
}

// Kills the worker of a seat, by what its outcome says.
void WorkerWorlds::lose(Seat& seat) {
  std::vector<std::string> names;
  for (const std::size_t k : seat.tasks) names.push_back(spec_.tasks[k]);
  const Worker& worker = *seat.worker;
  Loss loss = Loss::kEnded;
  std::string what;
  switch (worker.outcome()) {
    case Outcome::kPending:
      loss = Loss::kTimedOut;
      what = with_last_words(worker,
                             fmt::format("has not answered for {} s (step_limit) and was killed.",
                                         options_.step_limit));
      break;
    case Outcome::kAnswer:
      loss = Loss::kRaised;
      what = "raised an exception:\n" + worker.text();
      break;
    case Outcome::kEnded:
      what = with_last_words(worker, worker.ending() + ".");
      break;
    case Outcome::kForeign:
      what = with_last_words(worker, "said what no worker says, and was killed.");
      break;
  }
  const std::string words = fmt::format(
      "the worker of {} (process {}) {}", internal::short_list(names), worker.pid(), what);
  seat.worker.reset();
  seat.frame.reset();
  count_loss(loss, words);
}

void WorkerWorlds::replace_lost() {
  std::vector<std::size_t> lost;
  for (std::size_t w = 0; w < seats_.size(); ++w) {
    if (seats_[w].worker == nullptr) lost.push_back(w);
  }
  if (lost.empty()) return;
  try {
    for (const std::size_t w : lost) seats_[w].worker = start(w);
    await_all(lost, options_.start_limit);
    for (const std::size_t w : lost) {
      internal::check_same(internal::hello_of(*seats_[w].worker, options_), spec_, seats_[w].tasks);
      give_frame(seats_[w]);
    }
  } catch (const Error& error) {
    give_up(fmt::format("a worker was lost ({}) and the one in its place does not begin: {}",
                        losses_.last,
                        error.what()));
  }
}

// Those of `wanted`; and of all tasks of workers that are lost over it, which `wanted` has then,
// too.
void WorkerWorlds::begin_episodes(std::vector<std::uint8_t>& wanted) {
  std::vector<std::uint8_t> left = wanted;
  while (std::any_of(left.begin(), left.end(), [](std::uint8_t one) { return one != 0; })) {
    replace_lost();
    std::vector<std::size_t> asked;
    for (std::size_t w = 0; w < seats_.size(); ++w) {
      Seat& seat = seats_[w];
      bool any = false;
      for (std::size_t i = 0; i < seat.tasks.size(); ++i) {
        seat.frame->mask()[i] = left[seat.tasks[i]];
        any = any || left[seat.tasks[i]] != 0;
      }
      if (!any) continue;
      ask(seat, 'R');
      asked.push_back(w);
    }
    await_all(asked, options_.step_limit);
    for (const std::size_t w : asked) {
      Seat& seat = seats_[w];
      const bool done = seat.worker->outcome() == Outcome::kAnswer && seat.worker->kind() == 'K';
      for (std::size_t i = 0; i < seat.tasks.size(); ++i) {
        const std::size_t k = seat.tasks[i];
        // Not the same once more where it could not begin.
        if (left[k] != 0) ++episodes_[k];
        if (!done) {
          left[k] = wanted[k] = 1;
          continue;
        }
        if (left[k] == 0) continue;
        const float* now = seat.frame->now() + i * spec_.observation;
        if (!all_finite(now, spec_.observation)) {
          count_loss(Loss::kNotFinite,
                     fmt::format("'{}' began an episode with numbers that are not finite.",
                                 spec_.tasks[k]));
          continue;
        }
        std::copy_n(now, spec_.observation, &observations_[k * spec_.observation]);
        left[k] = 0;
      }
      if (!done) lose(seat);
    }
  }
}

void WorkerWorlds::reset() {
  if (!failed_.empty()) give_up(failed_);
  std::vector<std::uint8_t> all(spec_.tasks.size(), 1);
  begin_episodes(all);
  begun_ = true;
}

const Step& WorkerWorlds::step(std::span<const float> actions) {
  check_actions(spec_, actions, "worlds::WorkerWorlds");
  return act(actions, false);
}

const Step& WorkerWorlds::step_by_experts() { return act({}, true); }

const Step& WorkerWorlds::act(std::span<const float> actions, bool experts) {
  if (!failed_.empty()) give_up(failed_);
  DETENTE_CHECK(begun_,
                ErrorCode::kInvalidArgument,
                "[worlds::WorkerWorlds] step() before reset(); call reset() first.");
  std::vector<std::size_t> all(seats_.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  replace_lost();
  for (Seat& seat : seats_) {
    for (std::size_t i = 0; !experts && i < seat.tasks.size(); ++i) {
      std::transform(
          actions.begin() + static_cast<std::ptrdiff_t>(seat.tasks[i] * spec_.action),
          actions.begin() + static_cast<std::ptrdiff_t>((seat.tasks[i] + 1) * spec_.action),
          seat.frame->actions() + i * spec_.action,
          [](float action) { return std::clamp(action, -1.0F, 1.0F); });
    }
    ask(seat, experts ? 'X' : 'S');
  }
  await_all(all, options_.step_limit);
  collect(experts);
  return step_;
}

void WorkerWorlds::collect(bool experts) {
  std::vector<std::uint8_t> wanted(spec_.tasks.size(), 0);
  std::fill(step_.lost.begin(), step_.lost.end(), std::uint8_t{0});
  for (Seat& seat : seats_) {
    const Worker& worker = *seat.worker;
    const bool answered = worker.outcome() == Outcome::kAnswer;
    DETENTE_CHECK(!(answered && worker.kind() == 'N'),
                  ErrorCode::kUnsupported,
                  "[worlds::WorkerWorlds] {}",
                  worker.text());
    const bool done = answered && worker.kind() == 'K';
    for (std::size_t i = 0; i < seat.tasks.size(); ++i) {
      const std::size_t k = seat.tasks[i];
      const std::size_t o = spec_.observation;
      if (!done) {
        wanted[k] = 1;
        continue;
      }
      const SharedFrame& frame = *seat.frame;
      std::copy_n(frame.after() + i * o, o, &step_.observations[k * o]);
      step_.rewards[k] = frame.rewards()[i];
      step_.success[k] = frame.success()[i] != 0 ? 1 : 0;
      step_.ended[k] = frame.ended()[i] != 0 ? 1 : 0;
      step_.truncated[k] = frame.truncated()[i] != 0 ? 1 : 0;
      if (step_.over(k)) ++episodes_[k];
      if (experts) {
        std::copy_n(
            frame.actions() + i * spec_.action, spec_.action, &expert_actions_[k * spec_.action]);
      }
      if (!all_finite(&step_.rewards[k], 1) || !all_finite(&step_.observations[k * o], o) ||
          !all_finite(frame.now() + i * o, o)) {
        wanted[k] = 1;
        count_loss(Loss::kNotFinite,
                   fmt::format("'{}' gave a reward or an observation that is not finite.",
                               spec_.tasks[k]));
        continue;
      }
      std::copy_n(frame.now() + i * o, o, &observations_[k * o]);
    }
    if (!done) lose(seat);
  }
  begin_episodes(wanted);
  for (std::size_t k = 0; k < wanted.size(); ++k) {
    if (wanted[k] == 0) continue;
    step_.rewards[k] = 0;
    step_.success[k] = step_.ended[k] = 0;
    step_.truncated[k] = step_.lost[k] = 1;
    std::copy_n(&observations_[k * spec_.observation],
                spec_.observation,
                &step_.observations[k * spec_.observation]);
  }
}

double WorkerWorlds::own_seconds(std::uint32_t steps) {
  reset();
  std::vector<std::size_t> all(seats_.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  for (Seat& seat : seats_) ask(seat, 'O', steps);
  await_all(all, options_.start_limit + options_.step_limit * static_cast<double>(steps));
  double slowest = 0;
  for (const Seat& seat : seats_) {
    const Worker& worker = *seat.worker;
    const bool done = worker.outcome() == Outcome::kAnswer && worker.kind() == 'K';
    char* end = nullptr;
    const double seconds = done ? std::strtod(worker.text().c_str(), &end) : 0;
    if (!done || end == worker.text().c_str() || !std::isfinite(seconds)) {
      give_up(with_last_words(worker, "a worker could not be timed. " + worker.text()));
    }
    slowest = std::max(slowest, seconds);
  }
  reset();
  return slowest;
}

std::vector<pid_t> WorkerWorlds::processes() const {
  std::vector<pid_t> pids;
  for (const Seat& seat : seats_) {
    if (seat.worker != nullptr) pids.push_back(seat.worker->pid());
  }
  return pids;
}

Json WorkerWorlds::state() const { return state_of(kWorkersKind, spec_, episodes_); }

void WorkerWorlds::load_state(const Json& state) {
  episodes_ = episodes_of(state, kWorkersKind, spec_);
  reset();
}

}  // namespace detente::worlds
