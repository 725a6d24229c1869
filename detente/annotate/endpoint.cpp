// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/endpoint.h>
#include <detente/core/ascii.h>
#include <detente/core/error.h>
#include <detente/core/whole_number.h>
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace detente::annotate {

std::string Endpoint::origin() const {
  const bool v6 = host.find(':') != std::string::npos;
  return fmt::format(
      "{}://{}{}{}:{}", tls ? "https" : "http", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

std::string Endpoint::text() const { return origin() + base; }

bool Endpoint::is_loopback() const {
  return host == "localhost" || host.starts_with("127.") || host == "::1";
}

Endpoint parse_endpoint(const std::string& url) {
  // The address itself may hold a password, so no message repeats it.
  constexpr const char* kExpected =
      "expected --endpoint http://HOST:PORT or https://HOST, e.g. http://127.0.0.1:8080";
  const auto demand = [&](bool good, const char* what) {
    DETENTE_CHECK(good,
                  ErrorCode::kInvalidArgument,
                  "[annotate::parse_endpoint] the endpoint's address {}; {}.",
                  what,
                  kExpected);
  };
  Endpoint endpoint;
  std::string_view rest = url;
  const std::string lower = lower_ascii(url);
  demand(lower.starts_with("http://") || lower.starts_with("https://"),
         "does not begin with http:// or https://");
  endpoint.tls = lower.starts_with("https://");
  rest.remove_prefix(endpoint.tls ? 8 : 7);
  demand(std::none_of(rest.begin(),
                      rest.end(),
                      [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f; }),
         "holds blanks or control characters");
  demand(rest.find('@') == std::string_view::npos,
         "holds a user or password, which would stand in transcripts; the key belongs into the "
         "environment variable DETENTE_API_KEY");
  demand(rest.find_first_of("?#\\") == std::string_view::npos, "holds a query");
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view authority = rest.substr(0, slash);
  std::string base(rest.substr(slash));
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    demand(close != std::string_view::npos, "has an open bracket");
    endpoint.host = std::string(authority.substr(1, close - 1));
    port = authority.substr(close + 1);
  } else {
    const std::size_t colon = std::min(authority.find(':'), authority.size());
    endpoint.host = std::string(authority.substr(0, colon));
    port = authority.substr(colon);
  }
  endpoint.host = lower_ascii(endpoint.host);
  demand(!endpoint.host.empty(), "names no host");
  endpoint.port = endpoint.tls ? 443 : 80;
  if (!port.empty()) {
    const auto number = whole_number<int>(port.substr(1));
    demand(port[0] == ':' && number && *number > 0 && *number < 65536, "has an impossible port");
    endpoint.port = *number;
  }
  while (base.ends_with('/')) base.pop_back();
  for (const std::string_view tail : {"/chat/completions", "/embeddings", "/v1"}) {
    if (base.ends_with(tail)) base.resize(base.size() - tail.size());
  }
  while (base.ends_with('/')) base.pop_back();
  endpoint.base = base;
  return endpoint;
}

}  // namespace detente::annotate
