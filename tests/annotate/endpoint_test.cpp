// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/endpoint.h>
#include <detente/core/error.h>
#include <gtest/gtest.h>

namespace detente::annotate {
namespace {

TEST(Endpoint, IsTheSameHoweverItIsWritten) {
  for (const char* url : {"http://127.0.0.1:8080",
                          "HTTP://127.0.0.1:8080/",
                          "http://127.0.0.1:8080/v1",
                          "http://127.0.0.1:8080/v1/",
                          "http://127.0.0.1:8080/v1/chat/completions",
                          "http://127.0.0.1:8080/v1/embeddings"}) {
    const Endpoint endpoint = parse_endpoint(url);
    EXPECT_EQ(endpoint.text(), "http://127.0.0.1:8080") << url;
    EXPECT_EQ(endpoint.path("chat/completions"), "/v1/chat/completions") << url;
    EXPECT_TRUE(endpoint.is_loopback());
  }
  EXPECT_EQ(parse_endpoint("https://Api.Example/proxy/v1").text(), "https://api.example:443/proxy");
  EXPECT_EQ(parse_endpoint("http://[::1]:99/").text(), "http://[::1]:99");
  EXPECT_FALSE(parse_endpoint("http://api.example").is_loopback());
  EXPECT_EQ(parse_endpoint("http://api.example").port, 80);
}

TEST(Endpoint, RefusesWhatIsNoneAndShowsNoPassword) {
  for (const char* url : {"",
                          "127.0.0.1:8080",
                          "ftp://h",
                          "http://",
                          "http:///v1",
                          "http://h:0",
                          "http://h:65536",
                          "http://h:",
                          "http://h:8x",
                          "http://u:secret@h",
                          "http://h/v1?k=secret",
                          "http://h /",
                          "http://h\r\nX: y",
                          "http://[::1",
                          "http://[::1]8"}) {
    try {
      parse_endpoint(url);
      ADD_FAILURE() << url;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_EQ(std::string(error.what()).find("secret"), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace detente::annotate
