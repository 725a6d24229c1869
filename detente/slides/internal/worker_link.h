// SPDX-License-Identifier: Apache-2.0
// One slide worker, seen from the process that it works for: its process, the memory that pictures come in, and
// what it says. Nothing it says is believed before it is checked.
#pragma once

#include <detente/core/json.h>
#include <detente/core/shared_memory.h>
#include <detente/core/worker_process.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace detente::slides::internal {

struct Answer {
  char kind = 0;
  std::uint64_t ticket = 0;
  std::string text;
};

class WorkerLink {
 public:
  // Throws kIo where the program cannot be started. Its hello has not come then.
  explicit WorkerLink(const std::vector<std::string>& arguments) : process_(arguments, {}) {}

  WorkerProcess& process() { return process_; }

  // Whether a picture of so many bytes has a place in the memory as it is.
  bool has_place(std::size_t bytes) const;
  // Makes memory with places for pictures of so many bytes; nothing may be in flight. Throws kIo.
  void make_places(std::size_t bytes);
  // A free place, now taken, where there is one.
  std::optional<std::size_t> take_place();
  void free_place(std::size_t place) { taken_[place] = false; }
  std::uint64_t offset_of(std::size_t place) const { return place * place_bytes_; }
  std::span<const std::uint8_t> bytes_at(std::size_t place, std::size_t count) const;

  void send(char kind, std::uint64_t ticket, std::string_view text, int descriptor = -1);

  // Takes in what has come.
  void receive();
  // The next whole answer, where there is one.
  std::optional<Answer> next_answer();
  // Once it cannot go on, why: "was ended by signal 9 (Killed)", "said what no worker says"; with its last words.
  std::optional<std::string> gone();
  bool is_foreign() const { return foreign_; }

 private:
  WorkerProcess process_;
  std::unique_ptr<SharedMemory> memory_;
  std::size_t place_bytes_ = 0;
  std::vector<bool> taken_;
  std::string incoming_;
  std::size_t read_ = 0;  // of incoming_
  bool open_ = true;
  bool foreign_ = false;
};

}  // namespace detente::slides::internal
