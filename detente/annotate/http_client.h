// SPDX-License-Identifier: Apache-2.0
// HTTP and, where cpp-httplib has OpenSSL, HTTPS: each exchange a connection of its own, with limits on its parts and
// on the whole. Redirects are not followed (the key would go with them) and no proxy is used. A head
// with a line beyond 4 KiB or of more than 128 KiB in all counts as a cut connection; over TLS, where cpp-httplib gives no
// way in between, a server whose certificate is trusted is trusted in that.
#pragma once

#include <detente/annotate/endpoint.h>
#include <detente/annotate/transport.h>

#include <cstddef>
#include <memory>
#include <string>

namespace detente::annotate {

struct Timeouts {
  double connect = 5;  // seconds; looking up the host's name has the system's own limit
  double idle = 60;    // without a byte
  double total = 300;  // from the first to the last byte of an exchange
};

inline constexpr std::size_t kMostAnswerBytes = std::size_t{32} << 20U;

// `key` goes into the Authorization header and nowhere else; "" for none. Throws kUnsupported for https in a build
// without it, kInvalidArgument for a key that no header can hold (the message does not show it).
std::unique_ptr<Transport> make_http_client(const Endpoint& endpoint,
                                            const std::string& key,
                                            const Timeouts& timeouts);

}  // namespace detente::annotate
