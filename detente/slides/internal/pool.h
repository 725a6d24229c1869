// SPDX-License-Identifier: Apache-2.0
// The workers of a SlideWorkers, what they have to do, and the thread that listens to them.
#pragma once

#include <detente/core/error.h>
#include <detente/slides/internal/worker_link.h>
#include <detente/slides/slide_workers.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace detente::slides {

class SlideWorkers::Pool {
 public:
  explicit Pool(const SlideWorkersOptions& options);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  enum class Kind : char { kInfo = 'O', kRegion = 'R', kAssociated = 'A' };

  Ticket ask(Kind kind,
             const std::string& file,
             const Region& region,
             const std::string& name = {});
  Picture take(Ticket ticket);
  SlideInfo take_info(Ticket ticket);
  void drop(Ticket ticket);
  std::map<std::string, std::string> bad() const;
  ReaderStatistics statistics() const;
  OpenSlideFacts facts() const;
  std::vector<int> processes() const;

 private:
  using Clock = std::chrono::steady_clock;

  static constexpr int kNobody = -1;

  static Clock::time_point from_now(double seconds) {
    return Clock::now() +
           std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  }

  struct Slide {
    std::string file;
    int home = kNobody;  // the worker that has it open
    int in_flight = 0;
    int waiting = 0;
    std::optional<Clock::time_point> crash;  // the last in which it was being read
    std::string bad;                         // why
  };

  struct Request {
    Kind kind = Kind::kInfo;
    Slide* slide = nullptr;
    Region region;
    std::string name;
    std::size_t place = 0;
    bool dropped = false;
    bool done = false;
    Picture picture;
    SlideInfo info;
    std::optional<Error> error;

    std::size_t bytes() const;
  };

  struct Seat {
    std::unique_ptr<internal::WorkerLink> link;
    bool ready = false;  // has said hello
    bool ran = false;    // was started before
    std::deque<Ticket> in_flight;
    Clock::time_point begin;     // of its worker
    Clock::time_point deadline;  // of its hello or the request that it reads
  };

  // All with the mutex held.
  Request& found(Ticket ticket);
  Request finished(std::unique_lock<std::mutex>& lock, Ticket ticket);
  void hand_out();
  bool give_one(int w);
  std::optional<std::size_t> choose(int w) const;
  void send(int w, Ticket ticket);
  void start(Seat& seat);
  void listen(int w);
  void hello(Seat& seat, const internal::Answer& answer);
  bool settle(int w, const internal::Answer& answer);
  void lose(int w, const std::string& why, bool second_try);
  void spoil(Slide& slide, const std::string& why);
  void settle_with(Ticket ticket, ErrorCode code, const std::string& message);
  void break_down(ErrorCode code, const std::string& message);

  void pump();
  void wake() const;

  const SlideWorkersOptions options_;
  std::string program_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_map<std::string, std::unique_ptr<Slide>> slides_;
  std::unordered_map<Ticket, Request> requests_;
  std::deque<Ticket> waiting_;
  std::vector<Seat> seats_;
  Ticket last_ticket_ = 0;
  int failed_starts_ = 0;  // in a row
  std::optional<Error> broken_;
  ReaderStatistics statistics_;
  OpenSlideFacts facts_;
  bool stopping_ = false;
  bool started_ = false;  // the first worker has said hello
  int bell_ = -1;         // an eventfd that wakes the thread
  std::thread thread_;
};

}  // namespace detente::slides
