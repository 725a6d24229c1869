// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <detente/core/error.h>
#include <detente/launch/addresses.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>
#include <random>

namespace detente::launch {
namespace {

std::string numeric(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address->sa_family == AF_INET) {
    ::inet_ntop(
        AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, text, sizeof text);
  } else if (address->sa_family == AF_INET6) {
    const in6_addr& six = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
    if (!IN6_IS_ADDR_LINKLOCAL(&six)) ::inet_ntop(AF_INET6, &six, text, sizeof text);
  }
  return text;
}

// The port that was given, 0 where this one is taken.
int bound_port(int port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) return 0;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  socklen_t size = sizeof address;
  const bool bound = ::bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  const int error = errno;
  ::close(listener);
  errno = error;
  return bound ? ntohs(address.sin_port) : 0;
}

}  // namespace

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = "";
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

std::vector<NetworkAddress> network_addresses() {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(first, &::freeifaddrs);
  std::vector<NetworkAddress> found;
  for (const ifaddrs* one = first; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || (one->ifa_flags & IFF_UP) == 0 ||
        (one->ifa_flags & IFF_LOOPBACK) != 0) {
      continue;
    }
    const std::string address = numeric(one->ifa_addr);
    if (!address.empty()) found.push_back({one->ifa_name, address});
  }
  std::stable_partition(found.begin(), found.end(), [](const NetworkAddress& one) {
    return one.address.find(':') == std::string::npos;
  });
  return found;
}

std::vector<std::string> addresses_of(const std::string& name, std::string& why) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  const int error = ::getaddrinfo(name.c_str(), nullptr, &hints, &first);
  if (error != 0) {
    why = ::gai_strerror(error);
    return {};
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(first, &::freeaddrinfo);
  std::vector<std::string> found;
  for (const addrinfo* one = first; one != nullptr; one = one->ai_next) {
    const std::string address = numeric(one->ai_addr);
    if (!address.empty() && std::find(found.begin(), found.end(), address) == found.end()) {
      found.push_back(address);
    }
  }
  if (found.empty()) why = "no address that other machines reach";
  return found;
}

int free_loopback_port() {
  // The system would give one of those that it also gives to outgoing connections, of which the next may
  // come before ours is listened on.
  std::random_device random;
  std::uniform_int_distribution<int> any(20000, 31999);
  for (int i = 0; i < 64; ++i) {
    if (const int port = bound_port(any(random)); port > 0) return port;
  }
  const int port = bound_port(0);
  DETENTE_CHECK(port > 0,
                ErrorCode::kIo,
                "[launch::free_loopback_port] no port of the loopback interface is free: {}.",
                std::strerror(errno));
  return port;
}

}  // namespace detente::launch
