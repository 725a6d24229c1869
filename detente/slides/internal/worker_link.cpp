// SPDX-License-Identifier: Apache-2.0
#include <detente/slides/internal/protocol.h>
#include <detente/slides/internal/worker_link.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace detente::slides::internal {
namespace {

constexpr std::size_t kMostPlaces = 4;
// One place may be larger; several together may not.
constexpr std::size_t kMemory = std::size_t{1} << 26;

}  // namespace

bool WorkerLink::has_place(std::size_t bytes) const {
  // Memory that one large picture needed is not kept for small ones.
  return bytes <= place_bytes_ && (place_bytes_ <= kMemory || bytes > place_bytes_ / 8);
}

void WorkerLink::make_places(std::size_t bytes) {
  memory_.reset();
  place_bytes_ = (bytes + 4095) / 4096 * 4096;
  const std::size_t places = std::clamp<std::size_t>(kMemory / place_bytes_, 1, kMostPlaces);
  taken_.assign(places, false);
  memory_ = std::make_unique<SharedMemory>("detente-slides", places * place_bytes_);
  send(
      'M', 0, bytes_of(static_cast<std::uint64_t>(memory_->bytes().size())), memory_->descriptor());
}

std::optional<std::size_t> WorkerLink::take_place() {
  const auto free = std::find(taken_.begin(), taken_.end(), false);
  if (free == taken_.end()) return std::nullopt;
  *free = true;
  return static_cast<std::size_t>(free - taken_.begin());
}

std::span<const std::uint8_t> WorkerLink::bytes_at(std::size_t place, std::size_t count) const {
  const auto bytes = memory_->bytes().subspan(place * place_bytes_, count);
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

void WorkerLink::send(char kind, std::uint64_t ticket, std::string_view text, int descriptor) {
  // Where it is gone, receive() finds out.
  process_.send(message(kind, ticket, text), descriptor);
}

void WorkerLink::receive() {
  incoming_.erase(0, read_);
  read_ = 0;
  if (open_) open_ = process_.receive(incoming_, sizeof(MessageHead) + kLongestMessage);
  process_.read_output();
}

std::optional<Answer> WorkerLink::next_answer() {
  std::string_view text = std::string_view(incoming_).substr(read_);
  MessageHead head;
  if (foreign_ || !take_from(text, head)) return std::nullopt;
  const bool known = head.kind > 0 && head.kind < 128 &&
                     std::strchr("HIDNW", static_cast<int>(head.kind)) != nullptr;
  if (!known || head.size > kLongestMessage) {
    foreign_ = true;
    return std::nullopt;
  }
  if (text.size() < head.size) return std::nullopt;
  read_ += sizeof head + head.size;
  return Answer{.kind = static_cast<char>(head.kind),
                .ticket = head.ticket,
                .text = std::string(text.substr(0, head.size))};
}

std::optional<std::string> WorkerLink::gone() {
  std::string why;
  if (foreign_) {
    why = "said what no worker says";
  } else if (!open_) {
    // The socket closes a moment before the process has ended.
    for (int i = 0; i < 100 && !process_.has_ended(); ++i) ::usleep(2000);
    why = process_.ending();
  } else if (process_.has_ended()) {
    why = process_.ending();
  } else {
    return std::nullopt;
  }
  process_.read_output();
  const std::string words = process_.last_words();
  return words.empty() ? why : fmt::format("{}; its last words: {}", why, words);
}

}  // namespace detente::slides::internal
