// SPDX-License-Identifier: Apache-2.0
// One worker process: a Python that runs worker.py, told what to do over a socket that is its
// standard input.
//
// At its start it reads the script and its task (JSON), each with its length before it (u64). Then
// messages of 16 bytes go either way: u32 kind, u32 argument, u64 sequence. An answer repeats the
// sequence of its request, its argument says how many bytes of text follow.
//
//   to it    'S' step, 'X' let the experts act and step, 'R' reset the tasks of the mask,
//            'O' argument steps with random actions for timing, 'Q' end,
//            'F' the shared memory's descriptor comes with this
//   from it  'H' hello: JSON (unasked, sequence 0), 'K' done, text by kind, 'N' cannot: why,
//            'E' an exception: its traceback, and it ends
//
// What else it is like: core/worker_process.h.
#pragma once

#include <detente/core/json.h>
#include <detente/core/worker_process.h>

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace detente::worlds {

// python/detente/worlds/worker.py, as it was when this was built.
const std::string& worker_script();

struct WorkerStart {
  std::string python;
  std::string script;
  Json task;
  std::vector<std::pair<std::string, std::string>> variables;
};

class Worker {
 public:
  // kPending: no answer yet; kEnded: it is gone; kForeign: it said what no worker says.
  enum class Outcome { kPending, kAnswer, kEnded, kForeign };

  // Throws kIo where the program cannot be started. Its hello is pending then.
  explicit Worker(const WorkerStart& start);

  // Its answer is pending then. `descriptor` goes with it where it is not -1.
  void send(char kind, std::uint32_t argument = 0, int descriptor = -1);

  Outcome outcome() const { return outcome_; }
  char kind() const { return kind_; }  // of the answer
  const std::string& text() const { return text_; }
  pid_t pid() const { return process_.pid(); }
  std::string ending() const { return process_.ending(); }
  std::string last_words() const { return process_.last_words(); }

 private:
  friend void await(std::span<Worker* const> workers,
                    std::chrono::steady_clock::time_point deadline);

  void read_answers();
  void look_whether_ended();

  WorkerProcess process_;
  std::uint64_t sequence_ = 0;
  Outcome outcome_ = Outcome::kPending;
  std::string incoming_;
  char kind_ = 0;
  std::string text_;
  bool seen_end_ = false;
};

// Until none of them is pending or the deadline has passed; what they print is taken in meanwhile.
void await(std::span<Worker* const> workers, std::chrono::steady_clock::time_point deadline);

}  // namespace detente::worlds
