// SPDX-License-Identifier: Apache-2.0
// The files are read back by a decoder of their own: bitwise CRC, protocol buffers by hand.
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/report/tensorboard.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

namespace detente::report {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::uint32_t plain_crc32c(const std::string& bytes) {
  std::uint32_t crc = ~0U;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1U) != 0 ? crc >> 1U ^ 0x82F63B78U : crc >> 1U;
  }
  return ~crc;
}

std::uint32_t mask(std::uint32_t crc) { return ((crc >> 15U) | (crc << 17U)) + 0xA282EAD8U; }

template <class T>
T little_endian(const std::string& bytes, std::size_t at) {
  T value{};
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::vector<std::string> records(const std::string& file) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < file.size();) {
    const auto size = little_endian<std::uint64_t>(file, at);
    EXPECT_EQ(little_endian<std::uint32_t>(file, at + 8), mask(plain_crc32c(file.substr(at, 8))));
    out.push_back(file.substr(at + 12, size));
    EXPECT_EQ(little_endian<std::uint32_t>(file, at + 12 + size), mask(plain_crc32c(out.back())));
    at += 16 + size;
  }
  return out;
}

struct Field {
  unsigned number = 0;
  unsigned wire = 0;
  std::uint64_t integer = 0;
  std::string bytes;
};

std::vector<Field> fields(const std::string& message) {
  std::vector<Field> out;
  std::size_t at = 0;
  const auto varint = [&] {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(message.at(at++));
      value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
      if (byte < 0x80U) return value;
    }
  };
  while (at < message.size()) {
    Field field;
    const std::uint64_t key = varint();
    field.number = static_cast<unsigned>(key >> 3U);
    field.wire = static_cast<unsigned>(key & 7U);
    std::size_t size = field.wire == 1 ? 8 : field.wire == 5 ? 4 : 0;
    if (field.wire == 0) field.integer = varint();
    if (field.wire == 2) size = varint();
    field.bytes = message.substr(at, size);
    at += size;
    out.push_back(field);
  }
  return out;
}

class EventWriterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              (std::string("detente_tb_") +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(EventWriterTest, GivesNamesThatAreRecognised) {
  EXPECT_TRUE(is_event_file_name(EventWriter(folder_).path().filename().string()));
  EXPECT_TRUE(is_event_file_name("events.out.tfevents.1700000000.host.local.12.0"));
  for (const char* name : {"events.out.tfevents.",
                           "events.out.tfevents.backup",
                           "events.out.tfevents.1700000000",
                           "events.out.tfevents.1700000000.12.0",
                           "events.out.tfevents.1700000000.host.12.0.txt",
                           "my.events.out.tfevents.1700000000.host.12.0"}) {
    EXPECT_FALSE(is_event_file_name(name)) << name;
  }
}

TEST_F(EventWriterTest, StartsWithTheFileVersion) {
  const EventWriter writer(folder_);
  EXPECT_THAT(writer.path().filename().string(), ::testing::StartsWith("events.out.tfevents."));
  const auto all = records(read_file(writer.path()));
  ASSERT_EQ(all.size(), 1U);
  const auto event = fields(all[0]);
  ASSERT_EQ(event.size(), 2U);
  EXPECT_EQ(event[0].number, 1U);
  EXPECT_GT(little_endian<double>(event[0].bytes, 0), 1.7e9);
  EXPECT_EQ(event[1].number, 3U);
  EXPECT_EQ(event[1].bytes, "brain.Event:2");
}

TEST_F(EventWriterTest, WritesScalarsThatReadBack) {
  EventWriter writer(folder_);
  const std::string long_tag(300, 'x');
  writer.add_scalar("loss/점수", 17, 0.625, 1234.5);
  writer.add_scalar(long_tag, 1'000'000'000'000, -2.5, 1235.0);
  writer.flush();
  const auto all = records(read_file(writer.path()));
  ASSERT_EQ(all.size(), 3U);
  const auto check = [&](const std::string& record,
                         double time,
                         std::uint64_t step,
                         const std::string& tag,
                         float value) {
    const auto event = fields(record);
    ASSERT_EQ(event.size(), 3U);
    EXPECT_EQ(little_endian<double>(event[0].bytes, 0), time);
    EXPECT_EQ(event[1].number, 2U);
    EXPECT_EQ(event[1].integer, step);
    EXPECT_EQ(event[2].number, 5U);
    const auto summary = fields(event[2].bytes);
    ASSERT_EQ(summary.size(), 1U);
    EXPECT_EQ(summary[0].number, 1U);
    const auto scalar = fields(summary[0].bytes);
    ASSERT_EQ(scalar.size(), 2U);
    EXPECT_EQ(scalar[0].number, 1U);
    EXPECT_EQ(scalar[0].bytes, tag);
    EXPECT_EQ(scalar[1].number, 2U);
    EXPECT_EQ(scalar[1].wire, 5U);
    EXPECT_EQ(little_endian<float>(scalar[1].bytes, 0), value);
  };
  check(all[1], 1234.5, 17, "loss/점수", 0.625F);
  check(all[2], 1235.0, 1'000'000'000'000, long_tag, -2.5F);
}

TEST_F(EventWriterTest, MarksARestart) {
  EventWriter writer(folder_);
  writer.restart_at(40);
  writer.flush();
  const auto event = fields(records(read_file(writer.path())).at(1));
  ASSERT_EQ(event.size(), 3U);
  EXPECT_EQ(event[1].integer, 40U);
  EXPECT_EQ(event[2].number, 7U);
  EXPECT_EQ(event[2].bytes, "\x08\x01");  // status = START
}

TEST_F(EventWriterTest, NeverWritesIntoAnEarlierFile) {
  const EventWriter first(folder_);
  const EventWriter second(folder_);
  EXPECT_NE(first.path(), second.path());
}

TEST_F(EventWriterTest, NamesThePathItCannotWrite) {
  write_file_atomic(folder_, "a file where a folder should be");
  try {
    const EventWriter writer(folder_ / "run");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kIo);
    EXPECT_THAT(error.what(), HasSubstr(folder_.string()));
  }
}

}  // namespace
}  // namespace detente::report
