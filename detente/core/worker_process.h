// SPDX-License-Identifier: Apache-2.0
// A process that works for this one: a stream socket is its standard input, what it prints is kept for
// messages and disturbs nothing. It has a process group of its own, so a terminal's Ctrl-C does not reach it,
// and is killed when the thread that started it ends, however it does (Linux): keep the thread.
// What the two say to each other is their own matter.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace detente {

class WorkerProcess {
 public:
  // Throws kIo where the program cannot be started. `variables` as in ProgramStart.
  WorkerProcess(const std::vector<std::string>& arguments,
                const std::vector<std::pair<std::string, std::string>>& variables);
  // Kills it and what it has started.
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  pid_t pid() const { return pid_; }
  // To poll(); output() is -1 once nobody can print any more.
  int socket() const { return socket_; }
  int output() const { return output_; }

  // All of it, waiting for the worker to read for 20 s at most; `descriptor` goes with it where it is not -1.
  // False where it is not read.
  bool send(std::string_view bytes, int descriptor = -1);
  // Takes in what there is to read behind `incoming`, up to `most` bytes in all: false where it has closed its
  // side. Never waits.
  bool receive(std::string& incoming, std::size_t most);
  // Takes in what it has printed.
  void read_output();

  // Looks whether it has ended. It stays a zombie until the destructor: its number is its own.
  bool has_ended();
  // How it ended, or that it has not: "was ended by signal 9 (Killed)", "ended with exit code 1".
  std::string ending() const;
  // The last lines of what it printed; empty where it printed nothing.
  std::string last_words() const;

 private:
  pid_t pid_ = 0;
  int socket_ = -1;
  int output_ = -1;
  std::string printed_;
  bool exited_ = false;
  int code_ = 0;
  bool by_signal_ = false;
};

}  // namespace detente
