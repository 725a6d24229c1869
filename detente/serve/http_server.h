// SPDX-License-Identifier: Apache-2.0
// A Site on a port of this machine's loopback address, by cpp-httplib. One request per connection; whoever
// is slow, sends much or opens many connections costs others nothing: at most 16 requests are worked on
// and 64 wait, a request has 5 seconds and 32 KiB, an answer a minute to be taken.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

namespace detente::serve {

inline constexpr int kDefaultPort = 6061;

class HttpServer {
 public:
  // Takes the port, or where none is named kDefaultPort or one of the 50 after it. Throws kIo where the
  // folder cannot be opened, kInvalidArgument where the port is in use or not allowed.
  HttpServer(const std::filesystem::path& folder, std::optional<int> port);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const;

  // Answers until `stop` says so (asked ten times a second); waits for what is being made.
  void run(const std::function<bool()>& stop);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace detente::serve
