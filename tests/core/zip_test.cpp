// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/zip.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/error_of.h>
#include <tests/support/write_npy.h>

namespace detente {
namespace {

using test::error_of;
using test::zip_file;
using test::ZipForm;
using ::testing::HasSubstr;

std::string message(const std::string& archive) {
  return error_of([&] {
           for (const ZipMember& member : list_zip(archive, "a.npz")) unpack(member, "a.npz");
         })
      .what();
}

TEST(Zip, ReadsWhatWasWrittenInEveryForm) {
  const std::vector<std::pair<std::string, std::string>> members = {
      {"a \"1\".npy", std::string(5000, 'a')}, {"개.npy", "b"}, {"empty", ""}};
  for (const bool deflate : {false, true}) {
    for (const bool in_64 : {false, true}) {
      ZipForm form;
      form.deflate = deflate;
      form.in_64 = in_64;
      form.comment = "PK\x05\x06 a comment";
      const std::string archive = zip_file(members, form);
      const auto found = list_zip(archive, "a.npz");
      ASSERT_EQ(found.size(), 3U);
      for (std::size_t i = 0; i < 3; ++i) {
        EXPECT_EQ(found[i].name, members[i].first);
        EXPECT_EQ(unpack(found[i], "a.npz"), members[i].second);
      }
    }
  }
  EXPECT_TRUE(list_zip(zip_file({}), "a.npz").empty());
  EXPECT_EQ(list_zip(zip_file({{"folder/", ""}, {"folder/a", "x"}}), "a.npz").size(), 1U);
}

TEST(Zip, CutAnywhereIsAnError) {
  for (const bool in_64 : {false, true}) {
    ZipForm form;
    form.in_64 = in_64;
    const std::string archive = zip_file({{"a.npy", "hello"}, {"b.npy", "you"}}, form);
    for (std::size_t size = 0; size < archive.size(); ++size) {
      EXPECT_THAT(message(archive.substr(0, size)), HasSubstr("a.npz")) << size;
    }
  }
}

// A byte that means nothing may change unnoticed; a member's content may not.
TEST(Zip, AChangedByteNeverChangesTheContent) {
  for (const bool deflate : {false, true}) {
    ZipForm form;
    form.deflate = deflate;
    const std::string archive = zip_file({{"a", "hello, hello, hello"}}, form);
    for (std::size_t at = 0; at < archive.size(); ++at) {
      for (const char flip : {'\x01', '\x40', '\xff'}) {
        std::string changed = archive;
        changed[at] = static_cast<char>(changed[at] ^ flip);
        try {
          for (const ZipMember& member : list_zip(changed, "a.npz")) {
            EXPECT_EQ(unpack(member, "a.npz"), "hello, hello, hello") << at;
          }
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), ErrorCode::kData);
        }
      }
    }
  }
}

TEST(Zip, SaysWhatIsWrong) {
  EXPECT_THAT(message("PK nothing"), HasSubstr("no end of a ZIP archive"));
  EXPECT_THAT(message(zip_file({{"a", "1"}, {"a", "2"}})), HasSubstr("'a' twice"));
  ZipForm form;
  form.method = 14;
  EXPECT_THAT(message(zip_file({{"a", "1"}}, form)),
              HasSubstr("'a' of 'a.npz' is packed in way 14"));
  form.method = 0;
  form.flags = 1;
  EXPECT_THAT(message(zip_file({{"a", "1"}}, form)), HasSubstr("encrypted"));
  // A small member that says it unpacks to a terabyte asks for no memory.
  ZipForm packed;
  packed.deflate = true;
  packed.in_64 = true;
  std::string bomb = zip_file({{"a", std::string(1000, 'x')}}, packed);
  const std::size_t at = bomb.find(test::zip_number(1000, 8));
  bomb.replace(at, 8, test::zip_number(std::uint64_t{1} << 40U, 8));
  EXPECT_THAT(message(bomb), HasSubstr("'a' cannot hold 1099511627776 bytes"));
}

}  // namespace
}  // namespace detente
