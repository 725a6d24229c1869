// SPDX-License-Identifier: Apache-2.0
// One HTTP exchange, as the client sees it; http_client.h has the real one, tests have others.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace detente::annotate {

// Why an exchange did not come to its end.
enum class Fault {
  kNone,
  kConnect,    // refused, no such host, no answer within the time to connect
  kTls,        // the encrypted connection failed
  kCut,        // the connection ended in the middle
  kIdle,       // nothing came for too long
  kTime,       // the whole took too long
  kTooLarge,   // more bytes than any answer has
  kCancelled,  // by the caller
};

struct HttpReply {
  Fault fault = Fault::kNone;
  int status = 0;                     // 0: no answer at all
  std::string type;                   // Content-Type, lower case, without parameters
  std::string body;                   // what came, whole or not
  std::optional<double> retry_after;  // seconds
};

// Bytes of a body with status 200 as they come; false: enough, the rest is not wanted (no fault).
using Receive = std::function<bool(const HttpReply& so_far, std::string_view bytes)>;

class Transport {
 public:
  virtual ~Transport() = default;
  // Sends JSON to a path. Never throws for what a server or a network does. `stop` is asked several times a second;
  // true ends the exchange. Several threads may call at once.
  virtual HttpReply post(const std::string& path,
                         const std::string& json,
                         const Receive& receive,
                         const std::function<bool()>& stop) = 0;
};

}  // namespace detente::annotate
