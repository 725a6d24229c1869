// SPDX-License-Identifier: Apache-2.0
#include <detente/slides/internal/pool.h>
#include <detente/slides/internal/protocol.h>
#include <detente/slides/slide_worker.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <utility>

namespace detente::slides {
namespace {

// Requests that a worker has at a time, so that it never waits for this process.
constexpr std::size_t kDepth = 3;
// A worker without work opens a slide that another is reading only where that one has so much to do.
constexpr int kWorthOpening = 8;
// How long an end that closes no socket (a grandchild holds it) may go unseen.
constexpr int kGlance = 200;

}  // namespace

std::size_t SlideWorkers::Pool::Request::bytes() const {
  return kind == Kind::kInfo ? 0
                             : static_cast<std::size_t>(region.out_width * region.out_height) * 3;
}

SlideWorkers::Pool::Pool(const SlideWorkersOptions& options)
    : options_(options),
      program_(options.program.empty() ? find_slide_worker() : options.program),
      seats_(static_cast<std::size_t>(options.workers)) {
  bell_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  DETENTE_CHECK(bell_ >= 0,
                ErrorCode::kIo,
                "[slides::SlideWorkers] cannot make an eventfd: {}.",
                std::strerror(errno));
  // Signals are for the threads that know what to do with them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this] { pump(); });
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::close(bell_);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return started_ || broken_; });
  if (!broken_) return;
  const Error error = *broken_;
  stopping_ = true;
  lock.unlock();
  wake();
  thread_.join();
  ::close(bell_);
  throw error;
}

SlideWorkers::Pool::~Pool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake();
  thread_.join();
  ::close(bell_);
}

void SlideWorkers::Pool::wake() const {
  const std::uint64_t one = 1;
  const ssize_t ignored = ::write(bell_, &one, sizeof one);
  static_cast<void>(ignored);
}

SlideWorkers::Ticket SlideWorkers::Pool::ask(Kind kind,
                                             const std::string& file,
                                             const Region& region,
                                             const std::string& name) {
  const std::lock_guard lock(mutex_);
  const Ticket ticket = ++last_ticket_;
  auto& slide = slides_[file];
  if (slide == nullptr) slide = std::make_unique<Slide>(Slide{.file = file});
  requests_.emplace(ticket,
                    Request{.kind = kind, .slide = slide.get(), .region = region, .name = name});
  if (broken_) {
    settle_with(ticket, broken_->code(), broken_->what());
  } else if (!slide->bad.empty()) {
    settle_with(ticket, ErrorCode::kData, slide->bad);
  } else {
    ++slide->waiting;
    waiting_.push_back(ticket);
    hand_out();
    wake();
  }
  return ticket;
}

SlideWorkers::Pool::Request& SlideWorkers::Pool::found(Ticket ticket) {
  const auto one = requests_.find(ticket);
  DETENTE_CHECK(one != requests_.end() && !one->second.dropped,
                ErrorCode::kInvalidArgument,
                "[slides::SlideWorkers] there is no ticket {}; each is taken or dropped once.",
                ticket);
  return one->second;
}

SlideWorkers::Pool::Request SlideWorkers::Pool::finished(std::unique_lock<std::mutex>& lock,
                                                         Ticket ticket) {
  const Request& request = found(ticket);
  if (!request.done) {
    const auto begin = Clock::now();
    changed_.wait(lock, [&] { return request.done; });
    statistics_.waited_seconds += std::chrono::duration<double>(Clock::now() - begin).count();
  }
  return std::move(requests_.extract(ticket).mapped());
}

Picture SlideWorkers::Pool::take(Ticket ticket) {
  std::unique_lock lock(mutex_);
  Request request = finished(lock, ticket);
  if (request.error) throw *request.error;
  return std::move(request.picture);
}

SlideInfo SlideWorkers::Pool::take_info(Ticket ticket) {
  std::unique_lock lock(mutex_);
  Request request = finished(lock, ticket);
  if (request.error) throw *request.error;
  return std::move(request.info);
}

void SlideWorkers::Pool::drop(Ticket ticket) {
  const std::lock_guard lock(mutex_);
  Request& request = found(ticket);
  const auto place = std::find(waiting_.begin(), waiting_.end(), ticket);
  if (place != waiting_.end()) {
    --request.slide->waiting;
    waiting_.erase(place);
    requests_.erase(ticket);
  } else if (request.done) {
    requests_.erase(ticket);
  } else {
    request.dropped = true;  // its worker is at it
  }
}

std::map<std::string, std::string> SlideWorkers::Pool::bad() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, std::string> bad;
  for (const auto& [file, slide] : slides_) {
    if (!slide->bad.empty()) bad.emplace(file, slide->bad);
  }
  return bad;
}

ReaderStatistics SlideWorkers::Pool::statistics() const {
  const std::lock_guard lock(mutex_);
  return statistics_;
}

OpenSlideFacts SlideWorkers::Pool::facts() const {
  const std::lock_guard lock(mutex_);
  return facts_;
}

std::vector<int> SlideWorkers::Pool::processes() const {
  const std::lock_guard lock(mutex_);
  std::vector<int> pids;
  for (const Seat& seat : seats_) {
    if (seat.link != nullptr) pids.push_back(seat.link->process().pid());
  }
  return pids;
}

void SlideWorkers::Pool::hand_out() {
  for (int w = 0; w < options_.workers; ++w) {
    while (give_one(w)) {
    }
  }
}

bool SlideWorkers::Pool::give_one(int w) {
  Seat& seat = seats_[static_cast<std::size_t>(w)];
  if (!seat.ready || seat.in_flight.size() >= kDepth) return false;
  const auto chosen = choose(w);
  if (!chosen) return false;
  const Ticket ticket = waiting_[*chosen];
  Request& request = requests_.at(ticket);
  if (request.kind != Kind::kInfo) {
    if (!seat.link->has_place(request.bytes())) {
      if (!seat.in_flight.empty()) return false;
      try {
        seat.link->make_places(request.bytes());
      } catch (const Error& error) {
        waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(*chosen));
        --request.slide->waiting;
        settle_with(ticket, error.code(), error.what());
        return true;
      }
    }
    const auto place = seat.link->take_place();
    if (!place) return false;
    request.place = *place;
  }
  waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(*chosen));
  send(w, ticket);
  return true;
}

// Which of the waiting requests is this worker's next: the first of its own slides or of one that nobody has;
// for one that has nothing to do, the first of a slide that is not being read, or of which much is waiting.
std::optional<std::size_t> SlideWorkers::Pool::choose(int w) const {
  const std::size_t busy = seats_[static_cast<std::size_t>(w)].in_flight.size();
  std::optional<std::size_t> other;
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    const Slide& slide = *requests_.at(waiting_[i]).slide;
    if (slide.home == w || slide.home == kNobody) return i;
    // Two of the latter, so that it need not wait for the next.
    const bool takes =
        slide.in_flight == 0 ? busy == 0 : busy < 2 && slide.waiting >= kWorthOpening;
    if (takes && !other) other = i;
  }
  return other;
}

void SlideWorkers::Pool::send(int w, Ticket ticket) {
  Seat& seat = seats_[static_cast<std::size_t>(w)];
  const Request& request = requests_.at(ticket);
  Slide& slide = *request.slide;
  if (slide.in_flight == 0) slide.home = w;
  ++slide.in_flight;
  --slide.waiting;
  if (seat.in_flight.empty()) seat.deadline = from_now(options_.seconds);
  seat.in_flight.push_back(ticket);
  std::string text;
  if (request.kind != Kind::kInfo) {
    const Region& region = request.region;
    text =
        internal::bytes_of(internal::PictureOrder{.x = region.x,
                                                  .y = region.y,
                                                  .level = region.level,
                                                  .width = region.width,
                                                  .height = region.height,
                                                  .out_width = region.out_width,
                                                  .out_height = region.out_height,
                                                  .offset = seat.link->offset_of(request.place)});
  }
  if (request.kind == Kind::kAssociated) {
    text += internal::bytes_of(static_cast<std::uint32_t>(request.name.size())) + request.name;
  }
  seat.link->send(static_cast<char>(request.kind), ticket, text + slide.file);
}

void SlideWorkers::Pool::pump() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    // Workers are started here alone, because they live as long as the thread that started them.
    std::size_t wanted = started_ ? std::min(seats_.size(), waiting_.size()) : 1;
    bool busy = false;
    try {
      for (Seat& seat : seats_) {
        if (broken_) break;
        if (seat.link != nullptr && !(seat.ready && !seat.in_flight.empty())) {
          wanted -= std::min<std::size_t>(wanted, 1);
        }
      }
      for (Seat& seat : seats_) {
        if (broken_ || wanted == 0) break;
        if (seat.link != nullptr) continue;
        start(seat);
        --wanted;
      }
    } catch (const Error& error) {
      break_down(error.code(), error.what());
    }
    std::vector<pollfd> watched = {{bell_, POLLIN, 0}};
    for (const Seat& seat : seats_) {
      if (seat.link == nullptr) continue;
      busy = busy || !seat.ready || !seat.in_flight.empty();
      watched.push_back({seat.link->process().socket(), POLLIN, 0});
      const int output = seat.link->process().output();
      if (output >= 0) watched.push_back({output, POLLIN, 0});
    }
    lock.unlock();
    ::poll(watched.data(), watched.size(), busy ? kGlance : -1);
    std::uint64_t rung = 0;
    const ssize_t ignored = ::read(bell_, &rung, sizeof rung);
    static_cast<void>(ignored);
    lock.lock();
    try {
      for (int w = 0; w < options_.workers && !stopping_ && !broken_; ++w) {
        if (seats_[static_cast<std::size_t>(w)].link != nullptr) listen(w);
      }
    } catch (const std::exception& error) {
      const auto known = known_error(error, "[slides::SlideWorkers]");
      break_down(known ? known->code() : ErrorCode::kInternal,
                 known ? known->what() : error.what());
    }
  }
  for (Seat& seat : seats_) seat.link.reset();
}

}  // namespace detente::slides
