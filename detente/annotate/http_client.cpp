// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/http_client.h>
#include <detente/annotate/retry.h>
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <httplib.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <ctime>
#include <mutex>
#include <thread>
#include <utility>

namespace detente::annotate {
namespace {

using Clock = std::chrono::steady_clock;

// Ends an exchange from outside: httplib has limits for single reads alone, and none can be asked to stop.
class Watch {
 public:
  Watch(std::function<void()> end, const Timeouts& timeouts, const std::function<bool()>& stop)
      : end_(std::move(end)), timeouts_(timeouts), stop_(stop), thread_([this] { run(); }) {}
  ~Watch() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  void saw_bytes() { last_ = Clock::now().time_since_epoch().count(); }
  Fault reason() const { return reason_; }

 private:
  static double since(Clock::time_point then) {
    return std::chrono::duration<double>(Clock::now() - then).count();
  }

  void run() {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, std::chrono::milliseconds(50), [this] { return done_; })) {
      if (reason_ == Fault::kNone) {
        const Clock::time_point last{Clock::duration(last_.load())};
        if (stop_ && stop_()) {
          reason_ = Fault::kCancelled;
        } else if (since(began_) > timeouts_.total) {
          reason_ = Fault::kTime;
        } else if (since(last) > timeouts_.idle) {
          reason_ = Fault::kIdle;
        }
      }
      // Again and again: a socket that is only being opened has nothing to stop yet.
      if (reason_ != Fault::kNone) end_();
    }
  }

  const std::function<void()> end_;
  const Timeouts timeouts_;
  const std::function<bool()>& stop_;
  const Clock::time_point began_ = Clock::now();
  std::atomic<Clock::rep> last_{Clock::now().time_since_epoch().count()};
  std::atomic<Fault> reason_{Fault::kNone};
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::thread thread_;
};

// A connection whose head is of bounded length. httplib reads lines of any length and matches the first with
// std::regex, which recurses for every character: a long one would overflow the stack.
// NOLINTBEGIN(modernize-use-override): versions of httplib differ in which of these are virtual.
class BoundedStream final : public httplib::Stream {
 public:
  BoundedStream(socket_t socket, double idle)
      : socket_(socket), idle_(static_cast<int>(idle * 1e3)) {}

  bool is_readable() const { return from_ < size_ || wait(POLLIN, 0); }
  bool is_writable() const { return wait(POLLOUT, idle_); }
  bool wait_readable() const { return from_ < size_ || wait(POLLIN, idle_); }
  bool wait_writable() const { return is_writable(); }
  bool is_peer_alive() const { return true; }
  time_t duration() const { return 0; }

  ssize_t read(char* to, size_t bytes) {
    if (from_ == size_) {
      if (!wait(POLLIN, idle_)) return -1;
      const ssize_t got = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
      if (got <= 0) return got;
      from_ = 0;
      size_ = static_cast<std::size_t>(got);
      if (!is_fine(std::string_view(buffer_.data(), size_))) return -1;
    }
    const std::size_t given = std::min(bytes, size_ - from_);
    std::memcpy(to, buffer_.data() + from_, given);
    from_ += given;
    return static_cast<ssize_t>(given);
  }
  ssize_t write(const char* data, size_t bytes) {
    std::size_t done = 0;
    while (done < bytes) {
      if (!wait(POLLOUT, idle_)) return -1;
      const ssize_t sent = ::send(socket_, data + done, bytes - done, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) return -1;
      if (sent > 0) done += static_cast<std::size_t>(sent);
    }
    return static_cast<ssize_t>(done);
  }
  using httplib::Stream::write;

  void get_remote_ip_and_port(std::string& ip, int& port) const {
    ip.clear();
    port = 0;
  }
  void get_local_ip_and_port(std::string& ip, int& port) const { get_remote_ip_and_port(ip, port); }
  socket_t socket() const { return socket_; }

 private:
  static constexpr std::size_t kMostLine = 4096;
  static constexpr std::size_t kMostHead = std::size_t{128} << 10U;

  bool is_fine(std::string_view bytes) {
    for (const char c : bytes) {
      if (!in_head_) return true;
      if (++head_ > kMostHead) return false;
      if (c == '\r') continue;
      if (c != '\n') {
        line_ += c;
        if (line_.size() > kMostLine) return false;
        continue;
      }
      if (status_.empty()) {
        status_ = line_;
      } else if (line_.empty()) {  // behind a "100 Continue" comes another head
        const std::size_t code = status_.find(' ');
        in_head_ = code != std::string::npos && status_.compare(code, 2, " 1") == 0;
        status_.clear();
      }
      line_.clear();
    }
    return true;
  }

  bool wait(short events, int milliseconds) const {
    pollfd one{socket_, events, 0};
    return ::poll(&one, 1, milliseconds) > 0;
  }

  socket_t socket_;
  int idle_;
  std::array<char, 4096> buffer_{};
  std::size_t from_ = 0;
  std::size_t size_ = 0;
  bool in_head_ = true;
  std::size_t head_ = 0;
  std::string line_;
  std::string status_;
};

// Older and newer versions of httplib hand on a socket in one of two ways.
class BoundedClient final : public httplib::ClientImpl {
 public:
  BoundedClient(const std::string& host, int port, double idle)
      : httplib::ClientImpl(host, port), idle_(idle) {}

 private:
  using Use = std::function<bool(httplib::Stream&)>;
  bool process_socket(const Socket& socket, Use use) { return run(socket.sock, use); }
  bool process_socket(const Socket& socket,
                      std::chrono::time_point<std::chrono::steady_clock> /*start*/,
                      Use use) {
    return run(socket.sock, use);
  }
  bool run(socket_t socket, const Use& use) const {
    BoundedStream stream(socket, idle_);
    return use(stream);
  }
  double idle_;
};
// NOLINTEND(modernize-use-override)

Fault fault_of(httplib::Error error) {
  switch (error) {
    case httplib::Error::Success:
      return Fault::kNone;
    case httplib::Error::Connection:
    case httplib::Error::BindIPAddress:
    case httplib::Error::ConnectionTimeout:
      return Fault::kConnect;
    case httplib::Error::SSLConnection:
    case httplib::Error::SSLLoadingCerts:
    case httplib::Error::SSLServerVerification:
      return Fault::kTls;
    default:
      return Fault::kCut;
  }
}

class HttpClient final : public Transport {
 public:
  HttpClient(Endpoint endpoint, std::string key, Timeouts timeouts)
      : endpoint_(std::move(endpoint)), key_(std::move(key)), timeouts_(timeouts) {}

  HttpReply post(const std::string& path,
                 const std::string& json,
                 const Receive& receive,
                 const std::function<bool()>& stop) override {
    if (endpoint_.tls) {
      httplib::Client client(endpoint_.origin());
      return exchange(client, path, json, receive, stop);
    }
    BoundedClient client(endpoint_.host, endpoint_.port, timeouts_.idle + 1);
    return exchange(client, path, json, receive, stop);
  }

 private:
  template <class AnyClient>
  HttpReply exchange(AnyClient& client,
                     const std::string& path,
                     const std::string& json,
                     const Receive& receive,
                     const std::function<bool()>& stop) const {
    using Seconds = std::chrono::duration<double>;
    client.set_connection_timeout(Seconds(timeouts_.connect));
    // The watch ends what is idle; these come later and are there in case.
    client.set_read_timeout(Seconds(timeouts_.idle + 1));
    client.set_write_timeout(Seconds(timeouts_.idle + 1));
    client.set_keep_alive(false);
    client.set_follow_location(false);
    HttpReply reply;
    bool enough = false;
    httplib::Request request;
    request.method = "POST";
    request.path = path;
    request.body = json;
    request.set_header("Content-Type", "application/json");
    request.set_header("Accept", "application/json, text/event-stream");
    // What is not compressed cannot blow up.
    request.set_header("Accept-Encoding", "identity");
    if (!key_.empty()) request.set_header("Authorization", "Bearer " + key_);
    httplib::Response response;
    httplib::Error error = httplib::Error::Success;
    {
      Watch watch([&client] { client.stop(); }, timeouts_, stop);
      request.response_handler = [&](const httplib::Response& head) {
        watch.saw_bytes();
        read_head(head, reply);
        return true;
      };
      request.content_receiver = [&](const char* bytes, std::size_t size, auto, auto) {
        watch.saw_bytes();
        if (reply.body.size() + size > kMostAnswerBytes) {
          reply.fault = Fault::kTooLarge;
          return false;
        }
        reply.body.append(bytes, size);
        if (reply.status == 200 && receive && !receive(reply, {bytes, size})) {
          enough = true;
          return false;
        }
        return true;
      };
      client.send(request, response, error);
      if (watch.reason() != Fault::kNone && !enough) reply.fault = watch.reason();
    }
    if (enough || reply.fault != Fault::kNone) return reply;
    reply.fault = fault_of(error);
    // Some versions report a refused body of length 0 as an error though the head has come whole.
    if (reply.status == 0 && response.status > 0) read_head(response, reply);
    return reply;
  }

  static void read_head(const httplib::Response& head, HttpReply& reply) {
    reply.status = head.status;
    const std::string type = lower_ascii(head.get_header_value("Content-Type"));
    reply.type = std::string(trim(std::string_view(type).substr(0, type.find(';'))));
    reply.retry_after = parse_retry_after(head.get_header_value("Retry-After"), std::time(nullptr));
  }

  const Endpoint endpoint_;
  const std::string key_;
  const Timeouts timeouts_;
};

}  // namespace

std::unique_ptr<Transport> make_http_client(const Endpoint& endpoint,
                                            const std::string& key,
                                            const Timeouts& timeouts) {
#ifndef CPPHTTPLIB_OPENSSL_SUPPORT
  DETENTE_CHECK(!endpoint.tls,
                ErrorCode::kUnsupported,
                "[annotate::make_http_client] this build has no https: its cpp-httplib was built "
                "without OpenSSL. Build with one that has it (Debian's libcpp-httplib-dev), or "
                "name an http:// address.");
#endif
  DETENTE_CHECK(std::all_of(key.begin(), key.end(), [](char c) { return c > 0x20 && c < 0x7f; }),
                ErrorCode::kInvalidArgument,
                "[annotate::make_http_client] DETENTE_API_KEY holds blanks, line ends or other "
                "characters that no header can hold; expected the key alone.");
  return std::make_unique<HttpClient>(endpoint, key, timeouts);
}

}  // namespace detente::annotate
