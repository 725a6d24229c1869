// SPDX-License-Identifier: Apache-2.0
// The names and addresses under which machines find each other.
#pragma once

#include <string>
#include <vector>

namespace detente::launch {

struct NetworkAddress {
  std::string interface;  // "eth0"
  std::string address;    // "10.0.0.5", "fe80::1"
};

std::string host_name();

// Of this machine's interfaces that are up, the loopback one and addresses of one link (fe80::) left out;
// IPv4 first.
std::vector<NetworkAddress> network_addresses();

// What a name stands for, in the resolver's order; an address stands for itself. Empty where it stands for
// nothing, and `why` says so. May wait for a name server.
std::vector<std::string> addresses_of(const std::string& name, std::string& why);

// A port of the loopback interface that nobody listens on at this moment. Throws kIo where there is none.
int free_loopback_port();

}  // namespace detente::launch
