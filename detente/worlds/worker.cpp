// SPDX-License-Identifier: Apache-2.0
#include <detente/core/json_text.h>
#include <detente/worlds/worker.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace detente::worlds {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMessage = 16;
constexpr std::size_t kLongestText = std::size_t{1} << 24;
// How long an end that closes no socket (a grandchild holds it) may go unseen.
constexpr std::chrono::milliseconds kGlance{200};

// Reads the script from the socket, so that the program needs no file of its own beside it;
// tracebacks show the script's lines.
constexpr const char* kBootstrap = R"(
import linecache, os, socket, sys
connection = socket.socket(fileno=os.dup(0))
def take(count):
    taken = b""
    while len(taken) < count:
        part = connection.recv(count - len(taken))
        if not part:
            os._exit(0)
        taken += part
    return taken
text = take(int.from_bytes(take(8), "little")).decode()
linecache.cache["worker.py"] = (len(text), None, text.splitlines(True), "worker.py")
names = {"__name__": "detente_worker", "connection": connection, "take": take}
exec(compile(text, "worker.py", "exec"), names)
)";

std::string with_length(const std::string& text) {
  std::string sent;
  for (std::size_t i = 0; i < 8; ++i) sent += static_cast<char>((text.size() >> (8 * i)) & 0xff);
  return sent + text;
}

}  // namespace

Worker::Worker(const WorkerStart& start)
    : process_({start.python, "-u", "-X", "utf8", "-c", kBootstrap}, start.variables) {
  process_.send(with_length(start.script) + with_length(json_text(start.task, -1)));
}

void Worker::send(char kind, std::uint32_t argument, int descriptor) {
  const std::uint32_t words[] = {static_cast<std::uint32_t>(kind), argument};
  ++sequence_;
  std::string message(kMessage, '\0');
  std::memcpy(message.data(), words, sizeof words);
  std::memcpy(message.data() + sizeof words, &sequence_, sizeof sequence_);
  // Where it is gone, await() will find out.
  if (outcome_ == Outcome::kAnswer) outcome_ = Outcome::kPending;
  process_.send(message, descriptor);
}

void Worker::read_answers() {
  if (outcome_ != Outcome::kPending) return;
  const bool open = process_.receive(incoming_, kMessage + kLongestText + 1);
  if (incoming_.size() >= kMessage) {
    std::uint32_t words[2];
    std::uint64_t sequence = 0;
    std::memcpy(words, incoming_.data(), sizeof words);
    std::memcpy(&sequence, incoming_.data() + sizeof words, sizeof sequence);
    const bool known = words[0] < 128 && words[0] != 0 &&
                       std::strchr("HKNE", static_cast<int>(words[0])) != nullptr;
    if (!known || sequence != sequence_ || words[1] > kLongestText ||
        incoming_.size() > kMessage + words[1]) {
      outcome_ = Outcome::kForeign;
      return;
    }
    if (incoming_.size() == kMessage + words[1]) {
      kind_ = static_cast<char>(words[0]);
      text_ = incoming_.substr(kMessage);
      incoming_.clear();
      outcome_ = Outcome::kAnswer;
      return;
    }
  }
  if (!open) outcome_ = Outcome::kEnded;
}

void Worker::look_whether_ended() {
  if (seen_end_ || !process_.has_ended()) return;
  seen_end_ = true;
  // Its last answer may be there still: an exception's traceback comes just before the end.
  read_answers();
  if (outcome_ == Outcome::kPending) outcome_ = Outcome::kEnded;
}

void await(std::span<Worker* const> workers, Clock::time_point deadline) {
  for (;;) {
    std::vector<pollfd> watched;
    bool pending = false;
    for (Worker* worker : workers) {
      if (worker->outcome_ != Worker::Outcome::kPending) continue;
      pending = true;
      watched.push_back({worker->process_.socket(), POLLIN, 0});
      const int output = worker->process_.output();
      if (output >= 0) watched.push_back({output, POLLIN, 0});
    }
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (!pending || left.count() < 0) return;
    const auto wait = std::min<std::int64_t>(left.count() + 1, kGlance.count());
    const int ready = ::poll(watched.data(), watched.size(), static_cast<int>(wait));
    for (Worker* worker : workers) {
      if (worker->outcome_ != Worker::Outcome::kPending) continue;
      worker->read_answers();
      worker->process_.read_output();
      if (ready <= 0) worker->look_whether_ended();
      // The socket closes a moment before the process has ended.
      for (int i = 0; i < 100 && worker->outcome_ == Worker::Outcome::kEnded && !worker->seen_end_;
           ++i) {
        worker->look_whether_ended();
        if (!worker->seen_end_) ::usleep(2000);
      }
    }
  }
}

}  // namespace detente::worlds
