// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/sse.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace detente::annotate {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::string kStream =
    "\xef\xbb\xbf: hello\n\ndata: one\n\n:\r\n\r\ndata:two\r\ndata:  lines\r\nid: 7\r\n\r\nevent: "
    "x\n\n"
    "data\n\ndata: \xed\x95\x9c\r\rdatum: no\n\ndata: never ended\n";

std::vector<std::string> events(const std::vector<std::string>& parts) {
  SseReader reader;
  std::vector<std::string> all;
  for (const std::string& part : parts) {
    for (std::string& event : reader.feed(part)) all.push_back(std::move(event));
  }
  return all;
}

TEST(SseReader, GivesTheDataOfEvents) {
  EXPECT_THAT(events({kStream}), ElementsAre("one", "two\n lines", "", "\xed\x95\x9c"));
  EXPECT_THAT(events({""}), IsEmpty());
}

TEST(SseReader, DoesNotCareWhereBytesAreCut) {
  const auto whole = events({kStream});
  for (std::size_t a = 0; a <= kStream.size(); ++a) {
    for (std::size_t b = a; b <= kStream.size(); ++b) {
      ASSERT_EQ(events({kStream.substr(0, a), kStream.substr(a, b - a), kStream.substr(b)}), whole)
          << a << " " << b;
    }
  }
}

TEST(SseReader, KeepsWhatNoBlankLineHasEnded) {
  SseReader reader;
  EXPECT_THAT(reader.feed("data: x\n\n"), ElementsAre("x"));
  EXPECT_THAT(reader.feed("\n"), IsEmpty());  // nothing was kept
  EXPECT_THAT(reader.feed("data: y\n"), IsEmpty());
  EXPECT_THAT(reader.feed("\n"), ElementsAre("y"));
}

}  // namespace
}  // namespace detente::annotate
