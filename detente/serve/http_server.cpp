// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/serve/http_server.h>
#include <detente/serve/site.h>
#include <httplib.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace detente::serve {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kThreads = 16;
constexpr std::size_t kWaiting = 64;
constexpr std::size_t kMaxRequest = 32 << 10;
constexpr seconds kRequestTime(5);
constexpr seconds kAnswerTime(60);
constexpr int kPortsTried = 50;

// Set on a thread that is to close a connection without a word.
thread_local bool turned_away = false;

// A connection with limits on the whole of it, where httplib has them per read alone.
// NOLINTBEGIN(modernize-use-override): versions of httplib differ in which of these are virtual.
class Connection final : public httplib::Stream {
 public:
  Connection(socket_t socket, const std::atomic<bool>& stopping)
      : socket_(socket), stopping_(stopping) {}

  bool is_readable() const { return from_ < size_ || wait(POLLIN, Clock::now()); }
  bool is_writable() const { return wait(POLLOUT, writing_until_); }
  bool wait_readable() const { return from_ < size_ || wait(POLLIN, reading_until_); }
  bool wait_writable() const { return is_writable(); }
  bool is_peer_alive() const { return true; }
  time_t duration() const { return 0; }

  ssize_t read(char* to, size_t bytes) {
    if (from_ == size_) {
      if (read_ >= kMaxRequest || !wait(POLLIN, reading_until_)) return -1;
      const ssize_t got = ::recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
      if (got <= 0) return got;
      from_ = 0;
      size_ = static_cast<std::size_t>(got);
      read_ += size_;
    }
    const std::size_t given = std::min(bytes, size_ - from_);
    std::memcpy(to, buffer_.data() + from_, given);
    from_ += given;
    return static_cast<ssize_t>(given);
  }
  ssize_t write(const char* data, size_t bytes) {
    if (!writing_) {
      writing_ = true;
      writing_until_ = Clock::now() + kAnswerTime;
    }
    std::size_t done = 0;
    while (done < bytes) {
      if (!wait(POLLOUT, writing_until_)) return -1;
      const ssize_t sent = ::send(socket_, data + done, bytes - done, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) return -1;
      if (sent > 0) done += static_cast<std::size_t>(sent);
    }
    return static_cast<ssize_t>(done);
  }
  using httplib::Stream::write;

  void get_remote_ip_and_port(std::string& ip, int& port) const {
    ip = "127.0.0.1";
    port = 0;
  }
  void get_local_ip_and_port(std::string& ip, int& port) const {
    ip = "127.0.0.1";
    port = 0;
  }
  socket_t socket() const { return socket_; }

  // So that the last of an answer is not lost: a socket that is closed over bytes nobody has read resets.
  void end() const {
    ::shutdown(socket_, SHUT_WR);
    std::array<char, 4096> rest{};
    const auto until = Clock::now() + milliseconds(500);
    for (int reads = 0; reads < 64 && wait(POLLIN, until); ++reads) {
      if (::recv(socket_, rest.data(), rest.size(), MSG_DONTWAIT) <= 0) break;
    }
  }

 private:
  bool wait(short events, Clock::time_point until) const {
    for (;;) {
      if (stopping_) return false;
      const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now()).count();
      pollfd one{socket_, events, 0};
      const int found = ::poll(&one, 1, static_cast<int>(std::clamp<long long>(left, 0, 200)));
      if (found > 0) return true;
      if (found < 0 && errno != EINTR) return false;
      if (left <= 0) return false;
    }
  }

  socket_t socket_;
  const std::atomic<bool>& stopping_;
  std::array<char, 4096> buffer_{};
  std::size_t from_ = 0;
  std::size_t size_ = 0;
  std::size_t read_ = 0;
  bool writing_ = false;
  Clock::time_point reading_until_ = Clock::now() + kRequestTime;
  Clock::time_point writing_until_ = Clock::now() + kAnswerTime;
};
// NOLINTEND(modernize-use-override)

// A fixed number of threads and of connections that wait for one; more are closed at once.
class Pool final : public httplib::TaskQueue {
 public:
  Pool() {
    try {
      for (std::size_t i = 0; i < kThreads; ++i) threads_.emplace_back([this] { work(); });
    } catch (...) {
      shutdown();
      throw;
    }
  }
  // bool in newer versions of httplib, void in older ones.
  using Enqueued = decltype(std::declval<httplib::TaskQueue&>().enqueue(std::function<void()>()));

  Enqueued enqueue(std::function<void()> task) override {
    {
      const std::lock_guard lock(mutex_);
      if (tasks_.size() < kWaiting) {
        tasks_.push_back(std::move(task));
        task = nullptr;
      }
    }
    if (task) {
      turned_away = true;
      task();
      turned_away = false;
    } else {
      ready_.notify_one();
    }
    return Enqueued(true);
  }
  void shutdown() override {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    ready_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

 private:
  void work() {
    for (;;) {
      std::function<void()> task;
      {
        std::unique_lock lock(mutex_);
        ready_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
        if (tasks_.empty()) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::function<void()>> tasks_;
  std::vector<std::thread> threads_;
  bool ending_ = false;
};

class Server final : public httplib::Server {
 public:
  std::atomic<bool> stopping{false};

 private:
  bool process_and_close_socket(socket_t socket) override {
    bool done = false;
    if (!turned_away && !stopping) {
      Connection connection(socket, stopping);
      try {
        done = process(*this, connection);
      } catch (const std::exception&) {  // out of memory, say: this connection ends
      }
      connection.end();
    }
    ::close(socket);
    return done;
  }

  // A template, because only one of the two calls is known to a version of httplib.
  template <typename Self>
  static bool process(Self& self, httplib::Stream& stream) {
    bool closed = true;
    const auto setup = [](httplib::Request& request) {
      request.ranges.clear();
      // Packing for another process of this machine costs more than it saves.
      request.headers.erase("Accept-Encoding");
    };
    if constexpr (requires { self.process_request(stream, true, closed, setup); }) {
      return self.process_request(stream, true, closed, setup);
    } else {
      return self.process_request(stream, "127.0.0.1", 0, "127.0.0.1", 0, true, closed, setup);
    }
  }
};

}  // namespace

struct HttpServer::Parts {
  std::unique_ptr<Server> server;
  int port = 0;
  std::unique_ptr<Site> site;

  // A server each time: newer versions of httplib never listen again after a port was refused.
  bool bind(int tried) {
    server = std::make_unique<Server>();
    // Without SO_REUSEPORT, which httplib would set: two servers would then share a port.
    server->set_socket_options([](socket_t socket) {
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    if (!server->bind_to_port("127.0.0.1", tried)) return false;
    server->new_task_queue = [] { return new Pool(); };
    server->set_pre_routing_handler(
        [this](const httplib::Request& request, httplib::Response& response) {
          Request asked{request.method, request.target, {}};
          const auto [begin, end] = request.headers.equal_range("Host");
          for (auto it = begin; it != end; ++it) asked.hosts.push_back(it->second);
          Answer answer = site->answer(asked);
          response.status = answer.status;
          for (const auto& [name, value] : answer.headers) response.set_header(name, value);
          response.set_header("Content-Type", answer.type);
          response.body = std::move(answer.body);
          return httplib::Server::HandlerResponse::Handled;
        });
    port = tried;
    return true;
  }
};

HttpServer::HttpServer(const std::filesystem::path& folder, std::optional<int> port)
    : parts_(std::make_unique<Parts>()) {
  const int first = port.value_or(kDefaultPort);
  const int last = port ? first : first + kPortsTried;
  int reason = 0;
  for (int tried = first; tried <= last && parts_->port == 0; ++tried) {
    errno = 0;
    if (!parts_->bind(tried)) reason = errno;
  }
  DETENTE_CHECK(
      parts_->port != 0,
      ErrorCode::kInvalidArgument,
      "[serve::HttpServer] port {} of 127.0.0.1 cannot be had: {}. Name another with --port, or "
      "none to take the next free one from {} on.",
      last,
      reason == 0 ? "it is in use" : std::strerror(reason),
      kDefaultPort);
  parts_->site = std::make_unique<Site>(folder, parts_->port);
}

HttpServer::~HttpServer() = default;

int HttpServer::port() const { return parts_->port; }

void HttpServer::run(const std::function<bool()>& stop) {
  std::atomic<bool> ended{false};
  std::exception_ptr problem;
  const auto demand_threads = [](const auto& start) {
    try {
      return start();
    } catch (const std::exception& error) {
      fail(ErrorCode::kUnsupported,
           "[serve::HttpServer] {} threads cannot be started: {}. Raise the limit on processes or "
           "memory "
           "(ulimit -u, ulimit -v).",
           kThreads + 1,
           error.what());
    }
  };
  std::thread listener = demand_threads([&] {
    return std::thread([&] {
      try {
        parts_->server->listen_after_bind();
      } catch (...) {
        problem = std::current_exception();
      }
      ended = true;
    });
  });
  while (!ended && !stop()) std::this_thread::sleep_for(milliseconds(100));
  const bool failed = ended;
  parts_->server->stopping = true;
  while (!ended) {
    parts_->server->stop();
    std::this_thread::sleep_for(milliseconds(20));
  }
  listener.join();
  if (problem) demand_threads([&] { std::rethrow_exception(problem); });
  DETENTE_CHECK(
      !failed,
      ErrorCode::kIo,
      "[serve::HttpServer] the system ended the socket on port {}; start the server again.",
      parts_->port);
}

}  // namespace detente::serve
