// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <detente/core/error.h>
#include <detente/core/json.h>
#include <detente/core/version.h>
#include <detente/core/whole_number.h>
#include <detente/parallel/c10d_store.h>
#include <detente/tensor/compat.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

namespace detente::parallel {
namespace {

using namespace std::chrono_literals;

constexpr auto kBeat = 500ms;
// A store that lives answers at once, where the machine is not busy with other things for seconds.
constexpr auto kAnswer = 10s;

std::vector<std::uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }
std::string text_of(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

std::string numeric(const sockaddr_storage& address, socklen_t length) {
  char host[NI_MAXHOST] = "";
  if (::getnameinfo(reinterpret_cast<const sockaddr*>(&address),
                    length,
                    host,
                    sizeof host,
                    nullptr,
                    0,
                    NI_NUMERICHOST) != 0) {
    return "";
  }
  return host;
}

// The address of this machine's side of the way to the meeting place. Nothing is sent.
std::string address_towards(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  const int code = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  DETENTE_CHECK(code == 0,
                ErrorCode::kInvalidArgument,
                "[parallel::join] the host name '{}', at which the processes of the run are to "
                "meet, is not known here ({}). Set MASTER_ADDR to a name or an IP address of the "
                "machine with rank 0 that all machines know.",
                host,
                ::gai_strerror(code));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    const int socket = ::socket(one->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket < 0) continue;
    sockaddr_storage own{};
    socklen_t length = sizeof own;
    std::string result;
    if (::connect(socket, one->ai_addr, one->ai_addrlen) == 0 &&
        ::getsockname(socket, reinterpret_cast<sockaddr*>(&own), &length) == 0) {
      result = numeric(own, length);
    }
    ::close(socket);
    if (!result.empty()) return result;
  }
  fail(ErrorCode::kInvalidArgument,
       "[parallel::join] there is no way from this machine to '{}', where the processes of the "
       "run are to meet. Look at MASTER_ADDR and at the network between the machines.",
       host);
}

int port_of(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  }
  return address.ss_family == AF_INET6
             ? ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port)
             : 0;
}

// This process's connections to the store. LibTorch's client waits for answers without a limit, and does not say
// which sockets are its.
std::vector<int> connections_to(int port) {
  std::vector<int> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    const auto descriptor = whole_number<int>(entry.path().filename().string());
    sockaddr_storage peer{};
    socklen_t length = sizeof peer;
    if (descriptor &&
        ::getpeername(*descriptor, reinterpret_cast<sockaddr*>(&peer), &length) == 0 &&
        port_of(peer) == port) {
      found.push_back(*descriptor);
    }
  }
  return found;
}

// An answer that takes longer becomes an exception. A store answers at once or not at all.
void limit_answers(int port, std::chrono::milliseconds most) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(most);
  timeval limit{};
  limit.tv_sec = seconds.count();
  limit.tv_usec = std::chrono::microseconds(most - seconds).count();
  for (const int socket : connections_to(port)) {
    ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }
}

c10::intrusive_ptr<c10d::Store> tcp_store(const launch::Launch& launch,
                                          bool server,
                                          std::chrono::milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<std::uint16_t>(launch.port);
  options.isServer = server;
  options.waitWorkers = false;
  options.timeout = timeout;
  // Who keeps the store reaches it whatever becomes of the network.
  const bool own = launch.rank == 0 && !launch.store_is_there;
  const std::string host = own ? "127.0.0.1" : launch.address;
  auto made = std::async(std::launch::async, [&]() -> c10::intrusive_ptr<c10d::Store> {
    return c10::make_intrusive<c10d::TCPStore>(host, options);
  });
  // What listens there may be no store and say nothing.
  if (made.wait_for(timeout + 1s) != std::future_status::ready) {
    for (const int socket : connections_to(launch.port)) ::shutdown(socket, SHUT_RDWR);
  }
  auto store = made.get();
  limit_answers(launch.port, timeout);
  return store;
}

c10::intrusive_ptr<c10d::Store> of_attempt(const launch::Launch& launch,
                                           const c10::intrusive_ptr<c10d::Store>& shared) {
  return c10::make_intrusive<c10d::PrefixStore>(
      fmt::format("detente/{}/attempt-{}", launch.job, launch.attempt), shared);
}

// Which of the other processes has failed, and what it says of it. Empty where none has.
std::string failure_of_another(c10d::Store& store, const launch::Launch& launch) {
  for (int rank = 0; rank < launch.size; ++rank) {
    const std::string key = fmt::format("failure/{}", rank);
    if (rank == launch.rank || !store.check({key})) continue;
    return fmt::format("rank {} has failed: {}", rank, text_of(store.get(key)));
  }
  return "";
}

}  // namespace

void MeetingPlace::Store::set(const std::string& key, const std::string& value) const {
  own->set(key, bytes_of(value));
}

std::string MeetingPlace::Store::get(const std::string& key) const {
  return text_of(own->get(key));
}

bool MeetingPlace::Store::has(const std::string& key) const { return own->check({key}); }

// The thread that says that this process lives. A connection of its own: others may wait on theirs.
struct MeetingPlace::Beat {
  std::mutex mutex;
  std::condition_variable wake;
  bool end = false;
  std::string failure;  // of another, and why: read while the store was still there
  std::thread thread;
};

MeetingPlace::MeetingPlace(const launch::Launch& launch, std::chrono::milliseconds timeout)
    : launch_(launch), timeout_(timeout), store_(std::make_unique<Store>()) {
  own_address_ = address_towards(launch_.address, launch_.port);
  connect();
  try {
    greet();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(
        ErrorCode::kPeerLost,
        fmt::format(
            "[parallel::join] the meeting place at {}:{} is gone while rank {} of {} waited for "
            "the others ({}): its keeper, rank 0 or the launcher, has ended and says why.",
            launch_.address,
            launch_.port,
            launch_.rank,
            launch_.size,
            tensor::first_line(error.what())));
  }
  beat_ = std::make_unique<Beat>();
  beat_->thread = std::thread([this] { beat(); });
}

MeetingPlace::~MeetingPlace() {
  if (!beat_) return;
  {
    const std::lock_guard lock(beat_->mutex);
    beat_->end = true;
  }
  beat_->wake.notify_all();
  beat_->thread.join();
  leave();
}

// The others may still be asking: the process that keeps the store goes last.
void MeetingPlace::leave() noexcept {
  if (broken_) return;
  try {
    store_->own->add("left", 1);
    if (launch_.rank != 0 || launch_.store_is_there) return;
    const Clock::time_point deadline = Clock::now() + 5s;
    while (store_->own->add("left", 0) < launch_.size && Clock::now() < deadline) {
      std::this_thread::sleep_for(2ms);
    }
  } catch (const std::exception&) {
    // Nobody is left to be told.
  }
}

void MeetingPlace::connect() {
  const bool server = launch_.rank == 0 && !launch_.store_is_there;
  try {
    store_->shared = tcp_store(launch_, server, timeout_);
  } catch (const std::exception& error) {
    const std::string text = error.what();
    DETENTE_CHECK(!(server && (text.find("EADDRINUSE") != std::string::npos ||
                               text.find("already in use") != std::string::npos)),
                  ErrorCode::kInvalidArgument,
                  "[parallel::join] port {} of {} is taken, so the processes cannot meet there: "
                  "another run, or another program, uses it. Set MASTER_PORT (torchrun: "
                  "--rdzv-endpoint or --master-port) to a free one for all of them.",
                  launch_.port,
                  launch_.address);
    detente::fail(
        ErrorCode::kPeerLost,
        "[parallel::join] rank {} of {} cannot reach {}:{}, where the processes of the run are to "
        "meet, within {} s ({}). Has rank 0 been started, is the address right, does a firewall "
        "stand between?",
        launch_.rank,
        launch_.size,
        launch_.address,
        launch_.port,
        timeout_.count() / 1000,
        tensor::first_line(text));
  }
  store_->own = of_attempt(launch_, store_->shared);
}

void MeetingPlace::greet() {
  const std::string job = "job " + launch_.job;
  const auto there = text_of(store_->shared->compareSet("detente/job", {}, bytes_of(job)));
  DETENTE_CHECK(
      there == job,
      ErrorCode::kInvalidArgument,
      "[parallel::join] another run ('{}') meets at {}:{} already, this one is '{}'. Give "
      "each run a port of its own (MASTER_PORT).",
      there.substr(4),
      launch_.address,
      launch_.port,
      launch_.job);
  DETENTE_CHECK(
      store_->own->add(fmt::format("count/{}", launch_.rank), 1) == 1,
      ErrorCode::kInvalidArgument,
      "[parallel::join] two processes say that they are rank {}. Each needs a RANK of its "
      "own from 0 to {}.",
      launch_.rank,
      launch_.size - 1);
  const std::string greeting =
      Json{{"version", DETENTE_VERSION}, {"size", launch_.size}, {"by", launch_.by}}.dump();
  store_->set(fmt::format("hello/{}", launch_.rank), greeting);
  const Clock::time_point deadline = Clock::now() + timeout_;
  const std::optional<Error> fault = fault_of_greetings(deadline);
  // Rank 0 keeps the store: it must not leave, with a complaint of its own, before all have read.
  store_->own->add("greeted", 1);
  while (launch_.rank == 0 && store_->own->add("greeted", 0) < launch_.size &&
         Clock::now() < deadline + 1s) {
    std::this_thread::sleep_for(5ms);
  }
  if (fault) throw *fault;
}

std::optional<Error> MeetingPlace::fault_of_greetings(Clock::time_point deadline) {
  std::vector<int> missing;
  for (int rank = 0; rank < launch_.size; ++rank) {
    const std::string key = fmt::format("hello/{}", rank);
    while (!store_->has(key) && Clock::now() < deadline) std::this_thread::sleep_for(10ms);
    if (!store_->has(key)) {
      missing.push_back(rank);
      continue;
    }
    const Json hello = Json::parse(store_->get(key));
    if (hello["version"] == DETENTE_VERSION && hello["size"] == launch_.size) continue;
    return Error(
        ErrorCode::kInvalidArgument,
        fmt::format(
            "[parallel::join] rank {} is one of {} processes of Detente {}, rank {} one of {} "
            "of Detente {}. Start all of a run with one version and one WORLD_SIZE.",
            launch_.rank,
            launch_.size,
            DETENTE_VERSION,
            rank,
            hello["size"].dump(),
            hello["version"].get<std::string>()));
  }
  if (missing.empty()) return std::nullopt;
  return Error(
      ErrorCode::kPeerLost,
      fmt::format("[parallel::join] {} of {} has not come to {}:{} within {} s. Has it been "
                  "started, and does it get this MASTER_ADDR, MASTER_PORT and WORLD_SIZE? "
                  "parallel.timeout_s waits longer.",
                  names(missing),
                  launch_.size,
                  launch_.address,
                  launch_.port,
                  timeout_.count() / 1000));
}

void MeetingPlace::beat() {
  c10::intrusive_ptr<c10d::Store> store;
  const std::string key = fmt::format("beat/{}", launch_.rank);
  std::unique_lock lock(beat_->mutex);
  while (!beat_->end) {
    lock.unlock();
    try {
      if (!store) store = of_attempt(launch_, tcp_store(launch_, false, timeout_));
      store->add(key, 1);
      if (heard_failure().empty() && store->check({"failed"})) {
        std::string failure = failure_of_another(*store, launch_);
        {
          const std::lock_guard found(beat_->mutex);
          beat_->failure = std::move(failure);
        }
        failed_ = true;
        if (!heard_failure().empty() && has_to_say_heard()) store->add("heard", 1);
      }
    } catch (const std::exception&) {
      // Rank 0 has gone, and with it the store. The next operation with the others says so.
      failed_ = true;
      return;
    }
    lock.lock();
    beat_->wake.wait_for(lock, kBeat, [this] { return beat_->end; });
  }
}

void MeetingPlace::wait(const std::function<bool(int rank)>& gone) {
  const std::string key = fmt::format("wait/{}", waits_++);
  const auto of_rank = [&](int rank) { return fmt::format("{}/{}", key, rank); };
  std::map<int, std::pair<std::int64_t, Clock::time_point>> heard;
  try {
    store_->set(of_rank(launch_.rank), "here");
    auto pause = 1ms;
    Clock::time_point next_look = Clock::now() + kBeat;
    for (;;) {
      std::vector<int> missing;
      for (int rank = 0; rank < launch_.size; ++rank) {
        if (!store_->has(of_rank(rank))) missing.push_back(rank);
      }
      if (missing.empty()) return;
      if (failed_) throw Error(ErrorCode::kPeerLost, lost("waiting for them"));
      for (const int rank : missing) {
        const std::int64_t beats = store_->own->add(fmt::format("beat/{}", rank), 0);
        auto [place, is_new] = heard.try_emplace(rank, beats, Clock::now());
        if (is_new || place->second.first != beats) place->second = {beats, Clock::now()};
        if (Clock::now() - place->second.second > timeout_) {
          throw Error(ErrorCode::kPeerLost, lost("waiting for them"));
        }
      }
      if (Clock::now() > next_look) {
        next_look = Clock::now() + 2 * kBeat;
        if (std::any_of(missing.begin(), missing.end(), gone)) {
          throw Error(ErrorCode::kPeerLost, lost("waiting for them"));
        }
      }
      std::this_thread::sleep_for(pause);
      pause = std::min(2 * pause, 50ms);
    }
  } catch (const Error&) {
    throw;
  } catch (const std::exception&) {
    throw Error(ErrorCode::kPeerLost, lost("waiting for them"));
  }
}

void MeetingPlace::give_up(const std::string& message) noexcept {
  broken_ = true;
  try {
    store_->set(fmt::format("failure/{}", launch_.rank), message);
    store_->own->add("failed", 1);
    // The others read it with their next beat, and rank 0 takes the store with it: it waits for those that
    // answer to have read why, on a busy machine longer.
    const auto begun = Clock::now();
    const auto patience = launch_.rank == 0 ? kAnswer : 2 * kBeat + 100ms;
    while (Clock::now() - begun < patience) {
      if (store_->own->add("heard", 0) >= launch_.size - 1 - silent_) break;
      std::this_thread::sleep_for(50ms);
    }
  } catch (...) {
    // Nobody can be told.
  }
}

std::string MeetingPlace::names(const std::vector<int>& ranks) const {
  std::string text = ranks.size() == 1 ? "rank" : "ranks";
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    text += fmt::format("{}{}", i == 0 ? " " : (i + 1 == ranks.size() ? " and " : ", "), ranks[i]);
  }
  return text;
}

// The processes whose beats stand still for the time of six. One that lives has mostly beaten after one.
std::vector<int> MeetingPlace::silent() {
  const auto beats_of = [this](int rank) {
    return store_->own->add(fmt::format("beat/{}", rank), 0);
  };
  std::vector<int> ranks;
  std::map<int, std::int64_t> before;
  for (int rank = 0; rank < launch_.size; ++rank) {
    if (rank == launch_.rank) continue;
    ranks.push_back(rank);
    before[rank] = beats_of(rank);
  }
  const Clock::time_point deadline = Clock::now() + 6 * kBeat;
  while (!ranks.empty() && Clock::now() < deadline) {
    std::this_thread::sleep_for(kBeat / 2);
    std::erase_if(ranks, [&](int rank) { return beats_of(rank) != before[rank]; });
  }
  return ranks;
}

std::string MeetingPlace::heard_failure() const {
  const std::lock_guard lock(beat_->mutex);
  return beat_->failure;
}

std::string MeetingPlace::lost(const std::string& what) {
  broken_ = true;
  std::string why;
  try {
    limit_answers(launch_.port, kAnswer);
    why = failure_of_another(*store_->own, launch_);
    if (!why.empty()) {
      silent_ = 1;
    } else {
      const std::vector<int> ranks = silent();
      silent_ = static_cast<int>(ranks.size());
      if (!ranks.empty()) {
        why = fmt::format("{} {} not answer: ended, stopped, or cut off from the network",
                          names(ranks),
                          ranks.size() == 1 ? "does" : "do");
      } else {
        why =
            "all others are alive, but did not take part in time. parallel.timeout_s waits longer";
      }
    }
    if (has_to_say_heard()) store_->own->add("heard", 1);
  } catch (const std::exception&) {
    // The store went while this process looked around: what its beat has read before is the reason.
    why = heard_failure();
    if (why.empty()) {
      why = fmt::format(
          "{}, which keeps the meeting place, does not answer: ended, stopped, or cut off from the "
          "network",
          launch_.store_is_there ? "the launcher" : "rank 0");
    }
  }
  return fmt::format(
      "[parallel] rank {} of {} lost the others, {}: {}.", launch_.rank, launch_.size, what, why);
}

}  // namespace detente::parallel
