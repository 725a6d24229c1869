// SPDX-License-Identifier: Apache-2.0
#include <detente/core/json.h>
#include <detente/slides/internal/info_json.h>
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

using internal::Answer;

// Requests that a worker has at a time, so that it never waits for this process.
constexpr std::size_t kDepth = 3;
// A worker without work opens a slide that another is reading only where that one has so much to do.
constexpr int kWorthOpening = 8;
constexpr int kMostFailedStarts = 3;
// How long an end that closes no socket (a grandchild holds it) may go unseen.
constexpr int kGlance = 200;

std::chrono::steady_clock::duration seconds_of(double seconds) {
  return std::chrono::duration_cast<std::chrono::steady_clock::duration>(
      std::chrono::duration<double>(seconds));
}

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
  const bool idle = seats_[static_cast<std::size_t>(w)].in_flight.empty();
  std::optional<std::size_t> other;
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    const Slide& slide = *requests_.at(waiting_[i]).slide;
    if (slide.home == w || slide.home == kNobody) return i;
    if (idle && !other && (slide.in_flight == 0 || slide.waiting >= kWorthOpening)) other = i;
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
  if (seat.in_flight.empty()) seat.deadline = Clock::now() + seconds_of(options_.seconds);
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

void SlideWorkers::Pool::start(Seat& seat) {
  const auto share = [&](int all) { return std::to_string(std::max(1, all / options_.workers)); };
  seat.link = std::make_unique<internal::WorkerLink>(
      std::vector<std::string>{program_,
                               "--handles",
                               share(options_.handles),
                               "--cache-mib",
                               share(options_.cache_mib),
                               "--memory-mib",
                               std::to_string(options_.memory_mib)});
  seat.deadline = Clock::now() + seconds_of(options_.start_seconds);
  if (seat.ran) ++statistics_.restarts;
  seat.ran = true;
}

void SlideWorkers::Pool::hello(Seat& seat, const Answer& answer) {
  const Json json = Json::parse(answer.text, nullptr, false);
  const auto text = [&](const char* name) {
    const auto one = json.is_object() ? json.find(name) : json.end();
    return json.is_object() && one != json.end() && one->is_string() ? one->get<std::string>()
                                                                     : std::string();
  };
  if (const std::string problem = text("problem"); !problem.empty()) {
    break_down(ErrorCode::kUnsupported, problem);
    return;
  }
  if (answer.kind != 'H' || !json.is_object() ||
      json.value("protocol", Json()) != internal::kProtocol || text("openslide").empty()) {
    break_down(
        ErrorCode::kPeerLost,
        fmt::format("[slides::SlideWorkers] '{}' is not the worker of this version: it said "
                    "something else at "
                    "its start. Use the detente-slide-worker that was installed with this program.",
                    program_));
    return;
  }
  facts_ = {.version = text("openslide"),
            .library = text("library"),
            .shared_cache = json.value("shared_cache", Json()) == true};
  seat.ready = true;
  started_ = true;
  failed_starts_ = 0;
  changed_.notify_all();
}

void SlideWorkers::Pool::listen(int w) {
  Seat& seat = seats_[static_cast<std::size_t>(w)];
  seat.link->receive();
  while (auto answer = seat.link->next_answer()) {
    if (!seat.ready) {
      hello(seat, *answer);
      if (broken_) return;
    } else if (!settle(w, *answer)) {
      lose(w, "said what no worker says", false);
      return;
    }
    hand_out();
  }
  if (const auto why = seat.link->gone()) {
    lose(w, *why, !seat.link->is_foreign());
  } else if (Clock::now() > seat.deadline && (!seat.ready || !seat.in_flight.empty())) {
    lose(w,
         fmt::format("did not answer for {} s and was killed",
                     seat.ready ? options_.seconds : options_.start_seconds),
         false);
  }
}

// False where it is no answer to what it was asked.
bool SlideWorkers::Pool::settle(int w, const Answer& answer) {
  Seat& seat = seats_[static_cast<std::size_t>(w)];
  if (seat.in_flight.empty() || seat.in_flight.front() != answer.ticket) return false;
  const Ticket ticket = answer.ticket;
  Request& request = requests_.at(ticket);
  Slide& slide = *request.slide;
  std::string_view rest = answer.text;
  std::uint32_t was_open = 0;
  std::optional<SlideInfo> info;
  if (request.kind == Kind::kInfo) {
    if (answer.kind == 'D' || answer.kind == 'H') return false;
    if (answer.kind == 'I' && !(info = internal::info_of(answer.text))) return false;
  } else if (answer.kind == 'I' || answer.kind == 'H' ||
             (answer.kind == 'D' && (!internal::take_from(rest, was_open) || !rest.empty()))) {
    return false;
  }
  seat.in_flight.pop_front();
  seat.deadline = Clock::now() + seconds_of(options_.seconds);
  --slide.in_flight;
  if (answer.kind == 'D') {
    ++statistics_.pictures;
    ++(was_open != 0 ? statistics_.reused : statistics_.opened);
    if (!request.dropped) {
      const auto bytes = seat.link->bytes_at(request.place, request.bytes());
      request.picture = {.width = request.region.out_width,
                         .height = request.region.out_height,
                         .values = {bytes.begin(), bytes.end()}};
    }
  }
  if (request.kind != Kind::kInfo) seat.link->free_place(request.place);
  if (answer.kind == 'N') spoil(slide, answer.text);
  if (answer.kind == 'W') {
    settle_with(ticket,
                ErrorCode::kInvalidArgument,
                fmt::format("[slides::SlideWorkers] '{}': {}.", slide.file, answer.text));
    return true;
  }
  if (info) request.info = std::move(*info);
  if (answer.kind == 'N') {
    settle_with(ticket, ErrorCode::kData, slide.bad);
  } else {
    request.done = true;
    if (request.dropped) requests_.erase(ticket);
    changed_.notify_all();
  }
  return true;
}

// The slide is given up with what waits of it. What is in flight its worker answers, or loses.
void SlideWorkers::Pool::spoil(Slide& slide, const std::string& why) {
  if (slide.bad.empty()) {
    slide.bad =
        fmt::format("[slides::SlideWorkers] the slide '{}' cannot be read: {}.", slide.file, why);
  }
  std::erase_if(waiting_, [&](Ticket ticket) {
    if (requests_.at(ticket).slide != &slide) return false;
    settle_with(ticket, ErrorCode::kData, slide.bad);
    return true;
  });
  slide.waiting = 0;
}

void SlideWorkers::Pool::settle_with(Ticket ticket, ErrorCode code, const std::string& message) {
  Request& request = requests_.at(ticket);
  request.error.emplace(code, message);
  request.done = true;
  if (request.dropped) requests_.erase(ticket);
  changed_.notify_all();
}

void SlideWorkers::Pool::lose(int w, const std::string& why, bool second_try) {
  Seat& seat = seats_[static_cast<std::size_t>(w)];
  const bool was_ready = seat.ready;
  const std::string words = seat.link->process().last_words();
  seat.link.reset();
  seat.ready = false;
  if (!was_ready) {
    // At first one that does not come up is an answer; later, memory may be short for a moment.
    if (++failed_starts_ >= (started_ ? kMostFailedStarts : 1)) {
      break_down(
          ErrorCode::kPeerLost,
          fmt::format("[slides::SlideWorkers] the worker '{}' does not come up: it {}.{}",
                      program_,
                      why,
                      words.empty() || why.ends_with(words) ? "" : " Its last words: " + words));
    }
    return;
  }
  const std::deque<Ticket> lost = std::exchange(seat.in_flight, {});
  for (auto& [file, slide] : slides_) {
    if (slide->home == w) slide->home = kNobody;
  }
  for (auto one = lost.rbegin(); one != lost.rend(); ++one) {
    Slide& slide = *requests_.at(*one).slide;
    --slide.in_flight;
    const bool read = *one == lost.front();
    if (read && (++slide.crashes > 1 || !second_try)) {
      spoil(slide, "its worker " + why);
    }
    if (!slide.bad.empty()) {
      settle_with(*one, ErrorCode::kData, slide.bad);
    } else if (requests_.at(*one).dropped) {
      requests_.erase(*one);
    } else {
      ++slide.waiting;
      waiting_.push_front(*one);
    }
  }
  hand_out();
}

void SlideWorkers::Pool::break_down(ErrorCode code, const std::string& message) {
  if (!broken_) broken_.emplace(code, message);
  waiting_.clear();
  std::vector<Ticket> open;
  for (const auto& [ticket, request] : requests_) {
    if (!request.done) open.push_back(ticket);
  }
  for (const Ticket ticket : open) settle_with(ticket, code, message);
  for (Seat& seat : seats_) {
    seat.link.reset();
    seat.ready = false;
    seat.in_flight.clear();
  }
  for (auto& [file, slide] : slides_) slide->waiting = slide->in_flight = 0;
  changed_.notify_all();
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
