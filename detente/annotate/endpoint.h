// SPDX-License-Identifier: Apache-2.0
// Where calls go: the base address of an OpenAI-compatible API.
#pragma once

#include <string>

namespace detente::annotate {

struct Endpoint {
  bool tls = false;
  std::string host;  // without the brackets of IPv6
  int port = 0;
  std::string base;  // the path before /v1, "" or "/proxy", never with a slash at its end

  // "https://host" or "http://[::1]:8080": scheme, host and port.
  std::string origin() const;
  // The address as messages and transcripts have it: origin and base.
  std::string text() const;
  std::string path(const char* name) const { return base + "/v1/" + name; }
  // localhost, 127.0.0.0/8 or ::1: what goes there does not leave the machine.
  bool is_loopback() const;
};

// "http://127.0.0.1:8080", with or without /v1, /v1/chat/completions or a slash at the end. kInvalidArgument for
// anything else: no or another scheme, user and password (they would stand in transcripts), a query, blanks,
// control characters, an impossible port.
Endpoint parse_endpoint(const std::string& url);

}  // namespace detente::annotate
