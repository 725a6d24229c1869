// SPDX-License-Identifier: Apache-2.0
#include <detente/core/ascii.h>
#include <detente/serve/request.h>
#include <fmt/format.h>

#include <cstddef>

namespace detente::serve {
namespace {

constexpr std::size_t kMaxTarget = 4096;
constexpr std::size_t kMaxNames = 32;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> decoded(std::string_view name) {
  std::string out;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '%') {
      out += name[i];
      continue;
    }
    if (i + 2 >= name.size()) return std::nullopt;
    const int high = hex_value(name[i + 1]);
    const int low = hex_value(name[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

}  // namespace

bool host_allowed(std::string_view host, int port) {
  const std::string given = lower_ascii(std::string(host));
  for (const std::string_view name : {"localhost", "127.0.0.1", "[::1]"}) {
    if (given == fmt::format("{}:{}", name, port) || (port == 80 && given == name)) return true;
  }
  return false;
}

std::optional<Segments> path_of(std::string_view target) {
  if (target.size() > kMaxTarget || target.empty() || target.front() != '/') return std::nullopt;
  target = target.substr(0, target.find_first_of("?#"));
  Segments segments;
  while (!target.empty()) {
    target.remove_prefix(1);  // the slash
    const std::size_t end = std::min(target.find('/'), target.size());
    if (end > 0) {
      auto name = decoded(target.substr(0, end));
      if (!name || *name == "." || *name == ".." ||
          name->find_first_of(std::string_view("/\0", 2)) != std::string::npos ||
          segments.size() == kMaxNames) {
        return std::nullopt;
      }
      segments.push_back(std::move(*name));
    }
    target.remove_prefix(end);
  }
  return segments;
}

std::string joined(const Segments& segments) {
  std::string out;
  for (const auto& name : segments) out += (out.empty() ? "" : "/") + name;
  return out;
}

}  // namespace detente::serve
