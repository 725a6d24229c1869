// SPDX-License-Identifier: Apache-2.0
// Environments in Python, in worker processes: Meta-World, and any list of Gymnasium environments.
//
// W workers serve the tasks in turn (worker w has the tasks w, w + W, ...). A vector step hands all
// actions out, waits for all answers and gives them together. Whoever serves a task, its episodes
// are the same: they depend on the seed, the task and the episode's number alone.
//
// A worker that dies, raises, says what no worker says or does not answer in `step_limit` is killed
// and a new one is started in its place, while the others wait; its tasks lose the episode they
// were in (Step::lost), nothing else. A task whose numbers are not finite loses its episode and
// keeps its worker. More than `most_losses` in all end it with kPeerLost, and so does a new worker
// that does not begin.
//
// For one thread, which has to live as long as the object: the system kills a worker when the thread
// that started it ends.
//
// Snapshots: what an environment holds inside (a simulator's state) cannot be had from outside, so
// state() is the numbers of the episodes, and load_state() lets every task begin its next one
// (exact_state() is false).
#pragma once

#include <detente/core/fields.h>
#include <detente/worlds/frame.h>
#include <detente/worlds/worker.h>
#include <detente/worlds/worlds.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace detente::worlds {

struct WorkerOptions {
  // metaworld:MT10 (MT25, MT50, or names of environments separated by commas), gymnasium:ID,ID,...,
  // MODULE:FUNCTION, or the name of an entry point of the group detente.worlds; docs/worlds.md says
  // what a function gives.
  std::string environment;
  std::int64_t workers = 0;  // 0: one for each usable core; never more than tasks
  std::int64_t seed = 1;
  std::int64_t horizon = 0;      // 0: the environment's own
  std::string goals = "random";  // random: one of 50 in each episode; kept: one for all (metaworld)
  std::string reward = "v2";     // of metaworld: v2 or v1
  bool goal_hidden = false;      // of metaworld: zeros where the goal would be observed
  // An episode ends with its first success, as evaluations count it. Not for learning: what follows a
  // success is worth something, and an ended episode says that nothing follows.
  bool end_at_success = false;
  std::string python;        // empty: $DETENTE_PYTHON, else python3
  std::string path;          // a folder in which modules are looked for first; empty: none
  double start_limit = 600;  // seconds; building a Meta-World class takes several
  // Seconds; a step at which an episode ends includes the next one's reset.
  double step_limit = 120;
  // Of workers, and of episodes with numbers that are not finite, in all.
  std::int64_t most_losses = 20;

  void describe(FieldVisitor& visitor);

  // For tests: another script, more of the environment.
  std::string script = worker_script();
  std::vector<std::pair<std::string, std::string>> variables;
  // What happened to a worker, in a sentence or more; nothing is said where this is empty.
  std::function<void(const std::string&)> say;
};

// The Python that options name, before anything is asked of it.
std::string python_of(const WorkerOptions& options);

class WorkerWorlds final : public Worlds {
 public:
  // How often and why episodes were lost.
  struct Losses {
    std::int64_t ended = 0;      // the worker did, or said what no worker says
    std::int64_t timed_out = 0;  // and was killed
    std::int64_t raised = 0;     // a Python exception
    std::int64_t not_finite = 0;
    std::string last;  // the last of them in words

    std::int64_t all() const { return ended + timed_out + raised + not_finite; }
  };

  // Starts the workers and waits for all of them. Throws kInvalidArgument (options, unknown names),
  // kUnsupported with the traceback where the environments cannot be made (what is missing, and how
  // to get it), kPeerLost where a worker ends or does not answer in time, kIo where Python cannot
  // be started.
  explicit WorkerWorlds(WorkerOptions options);
  ~WorkerWorlds() override;

  const Spec& spec() const override { return spec_; }
  void reset() override;
  std::span<const float> observations() const override { return observations_; }
  const Step& step(std::span<const float> actions) override;

  // A step whose actions the environments' own experts choose; expert_actions() are those. Throws
  // kUnsupported where they have none.
  const Step& step_by_experts();
  std::span<const float> expert_actions() const { return expert_actions_; }

  Json state() const override;
  void load_state(const Json& state) override;
  bool exact_state() const override { return false; }

  const Losses& losses() const { return losses_; }
  std::size_t workers() const { return seats_.size(); }
  std::vector<pid_t> processes() const;
  // What the first worker said of itself: versions of Python and of packages.
  const Json& facts() const { return facts_; }

  // Seconds that `steps` vector steps take inside the workers, with random actions and no word to
  // this process: the environments' own speed, all workers at once, the slowest counts. Episodes
  // begin anew afterwards.
  double own_seconds(std::uint32_t steps);

 private:
  struct Seat {
    std::vector<std::size_t> tasks;
    std::unique_ptr<Worker> worker;
    std::unique_ptr<SharedFrame> frame;
  };
  enum class Loss { kEnded, kTimedOut, kRaised, kNotFinite };

  std::unique_ptr<Worker> start(std::size_t index) const;
  void await_all(const std::vector<std::size_t>& seats, double seconds) const;
  void give_frame(Seat& seat) const;
  void ask(Seat& seat, char kind, std::uint32_t argument = 0) const;
  void lose(Seat& seat);
  void count_loss(Loss loss, const std::string& words);
  void replace_lost();
  void begin_episodes(std::vector<std::uint8_t>& wanted);
  void collect(bool experts);
  const Step& act(std::span<const float> actions, bool experts);
  [[noreturn]] void give_up(const std::string& why);

  WorkerOptions options_;
  std::size_t asked_workers_ = 1;
  Spec spec_;
  Json facts_;
  std::vector<Seat> seats_;
  std::vector<std::uint64_t> episodes_;  // numbers of those that come next
  std::vector<float> observations_;
  std::vector<float> expert_actions_;
  Step step_;
  Losses losses_;
  bool begun_ = false;
  std::string failed_;  // why nothing goes on any more
};

}  // namespace detente::worlds
