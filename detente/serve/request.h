// SPDX-License-Identifier: Apache-2.0
// What of a request is believed: its method, its host, its path. Everything here is text in, verdict out.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace detente::serve {

// Names on the way from the served folder to a file; none is empty, "." or "..", or holds '/' or NUL.
using Segments = std::vector<std::string>;

// Whether a Host header names this machine and this port: localhost, 127.0.0.1 or [::1], in any case,
// with ":port" (which may be left out for port 80 alone). A page of somebody else that a browser was made
// to send here (DNS rebinding) names another.
bool host_allowed(std::string_view host, int port);

// The path of a request's target ("/run/a%20b?x=1"), split and percent-decoded, each name once. Nothing
// for what leads elsewhere or is no path: "..", ".", an absolute address, a name with '/', NUL or a
// broken escape, more than 4,096 bytes or 32 names. A slash at the end and double ones do not matter.
std::optional<Segments> path_of(std::string_view target);

// "a/b"; the inverse of path_of with percent-encoding is report::href.
std::string joined(const Segments& segments);

}  // namespace detente::serve
