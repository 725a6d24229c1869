// SPDX-License-Identifier: Apache-2.0
// Where the processes of a run meet and tell each other what is not arithmetic: who is there, who is alive, who
// has failed and why. A TCP store, kept by rank 0 or by the launcher; every process tells it twice a second that
// it lives, from a thread of its own, so that one that computes for long is not taken for one that hangs.
#pragma once

#include <detente/core/error.h>
#include <detente/launch/launch.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace detente::parallel {

class MeetingPlace {
 public:
  // Waits for all processes, `timeout` at most. Throws kPeerLost naming the ranks that have not come;
  // kInvalidArgument where another run meets at the port, two processes have one rank, or sizes or
  // versions of Detente differ: in all processes that are there.
  MeetingPlace(const launch::Launch& launch, std::chrono::milliseconds timeout);
  ~MeetingPlace();
  MeetingPlace(const MeetingPlace&) = delete;
  MeetingPlace& operator=(const MeetingPlace&) = delete;

  // Until every process has called this as often as this one. Throws kPeerLost where one has failed, has not
  // been alive for the timeout, or is `gone`: asked now and then about those that have not come.
  void wait(const std::function<bool(int rank)>& gone);
  // The others are told that this process ends, and why. Gives them the time to hear it.
  void give_up(const std::string& message) noexcept;
  // Has another process failed? Costs nothing.
  bool failed() const { return failed_; }
  // What is known of the others once an operation has failed: which failed and why, which do not answer.
  std::string lost(const std::string& what);
  // The local address by which the others reach this process.
  const std::string& own_address() const { return own_address_; }

  // For the group that is made on it: hides c10d's types.
  struct Store;
  Store& store() { return *store_; }

 private:
  using Clock = std::chrono::steady_clock;

  void connect();
  void greet();
  std::optional<Error> fault_of_greetings(Clock::time_point deadline);
  void beat();
  void leave() noexcept;
  std::vector<int> silent();
  std::string heard_failure() const;
  bool has_to_say_heard() { return launch_.rank != 0 && !heard_.exchange(true); }
  std::string names(const std::vector<int>& ranks) const;

  launch::Launch launch_;
  std::chrono::milliseconds timeout_;
  std::string own_address_;
  std::unique_ptr<Store> store_;
  std::int64_t waits_ = 0;
  std::atomic<bool> failed_ = false;
  std::atomic<bool> broken_ = false;  // the others are not waited for any more
  std::atomic<bool> heard_ = false;   // this process knows why the run ends, and has said so
  int silent_ = 0;                    // of them will not ask why, as far as is known
  struct Beat;
  std::unique_ptr<Beat> beat_;
};

}  // namespace detente::parallel
