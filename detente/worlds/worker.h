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
// What it prints is kept for messages and disturbs nothing. It has a process group of its own, so a
// terminal's Ctrl-C does not reach it, and is killed when the thread that started it ends, however
// it does (Linux): keep the thread.
#pragma once

#include <detente/core/json.h>
#include <sys/types.h>

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
  // Kills it and what it has started.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Its answer is pending then. `descriptor` goes with it where it is not -1.
  void send(char kind, std::uint32_t argument = 0, int descriptor = -1);

  Outcome outcome() const { return outcome_; }
  char kind() const { return kind_; }  // of the answer
  const std::string& text() const { return text_; }
  pid_t pid() const { return pid_; }

  // How it ended, or that it has not: "ended by signal 9 (Killed)", "ended with exit code 1".
  std::string ending() const;
  // The last lines of what it printed; empty where it printed nothing.
  std::string last_words() const;

 private:
  friend void await(std::span<Worker* const> workers,
                    std::chrono::steady_clock::time_point deadline);

  void read_answers();
  void read_output();
  void look_whether_ended();

  pid_t pid_ = 0;
  int socket_ = -1;
  int output_ = -1;
  std::uint64_t sequence_ = 0;
  Outcome outcome_ = Outcome::kPending;
  std::string incoming_;
  char kind_ = 0;
  std::string text_;
  std::string printed_;
  bool exited_ = false;  // a zombie until the destructor
  int code_ = 0;
  bool by_signal_ = false;
};

// Until none of them is pending or the deadline has passed; what they print is taken in meanwhile.
void await(std::span<Worker* const> workers, std::chrono::steady_clock::time_point deadline);

}  // namespace detente::worlds
