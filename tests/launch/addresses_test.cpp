// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <detente/launch/addresses.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace detente::launch {
namespace {

using ::testing::ElementsAre;

TEST(Addresses, OfThisMachineAreNoLoopback) {
  EXPECT_NE(host_name(), "");
  for (const NetworkAddress& one : network_addresses()) {
    EXPECT_NE(one.interface, "lo");
    EXPECT_NE(one.address, "127.0.0.1");
    EXPECT_FALSE(one.address.starts_with("fe80"));
  }
}

TEST(Addresses, OfAnAddressAreItself) {
  std::string why;
  EXPECT_THAT(addresses_of("127.0.0.1", why), ElementsAre("127.0.0.1"));
  EXPECT_THAT(addresses_of("::1", why), ElementsAre("::1"));
  EXPECT_EQ(why, "");
}

TEST(Addresses, OfANameThatIsNoneSayWhy) {
  std::string why;
  EXPECT_TRUE(addresses_of("no such host!", why).empty());
  EXPECT_NE(why, "");
}

TEST(FreeLoopbackPort, CanBeListenedOn) {
  const int port = free_loopback_port();
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  EXPECT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(listener);
}

}  // namespace
}  // namespace detente::launch
