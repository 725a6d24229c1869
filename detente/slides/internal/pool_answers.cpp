// SPDX-License-Identifier: Apache-2.0
// What workers say, and what becomes of them.
#include <detente/core/json.h>
#include <detente/slides/internal/info_json.h>
#include <detente/slides/internal/pool.h>
#include <detente/slides/internal/protocol.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace detente::slides {
namespace {

using internal::Answer;

constexpr int kMostFailedStarts = 3;

}  // namespace

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
  seat.deadline = from_now(options_.start_seconds);
  seat.begin = Clock::now();
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
            .shared_cache = json.value("shared_cache", Json()) == true,
            .confined = json.value("confined", Json()) == true};
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
  seat.deadline = from_now(options_.seconds);
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
    if (*one == lost.front()) {
      // Only a worker that was started after the first time is a second try: whatever ended the one may
      // have ended others with it.
      if (!second_try || (slide.crash && seat.begin > *slide.crash)) {
        spoil(slide, "its worker " + why);
      }
      slide.crash = Clock::now();
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

}  // namespace detente::slides
