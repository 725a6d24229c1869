// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <detente/core/manifest.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace detente {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ManifestTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_ / "sub");
    put("a", "first");
    put("sub/b \"quoted\".txt", std::string("\0second\n", 8));
    manifest_.add_existing(folder_, "a");
    manifest_.add_existing(folder_, "sub");
    manifest_.add_existing(folder_, "absent");
    manifest_.write(folder_ / "manifest.json");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void put(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("detente_manifest_" + std::to_string(::getpid()));
  Manifest manifest_;
};

TEST_F(ManifestTest, FindsNothingWhereNothingChanged) {
  const Manifest read = Manifest::read(folder_ / "manifest.json");
  EXPECT_EQ(read.files(), manifest_.files());
  EXPECT_EQ(read.files().size(), 2U);
  EXPECT_THAT(read.differences(folder_), IsEmpty());
}

TEST_F(ManifestTest, NamesEveryChangedBit) {
  const std::string content = "first";
  for (std::size_t bit = 0; bit < 8 * content.size(); ++bit) {
    std::string flipped = content;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    put("a", flipped);
    EXPECT_THAT(manifest_.differences(folder_), ElementsAre(HasSubstr("'a' has changed"))) << bit;
  }
}

TEST_F(ManifestTest, NamesWhatIsMissingShorterOrLonger) {
  put("a", "firs");
  EXPECT_THAT(manifest_.differences(folder_), ElementsAre(HasSubstr("4 bytes where 5")));
  put("a", "first!");
  EXPECT_THAT(manifest_.differences(folder_), ElementsAre(HasSubstr("6 bytes where 5")));
  std::filesystem::remove_all(folder_ / "sub");
  EXPECT_THAT(manifest_.differences(folder_),
              ElementsAre(HasSubstr("'a'"), HasSubstr("is missing")));
}

TEST_F(ManifestTest, RefusesWhatIsNoManifest) {
  for (const char* text :
       {"",
        "{",
        "[]",
        "{}",
        R"({"format": "detente-manifest-2", "files": {}})",
        R"({"format": "detente-manifest-1", "files": []})",
        R"({"format": "detente-manifest-1", "files": {"a": {"bytes": -1, "crc32c": ""}}})",
        R"({"format": "detente-manifest-1", "files": {"a": {"bytes": 1}}})",
        R"({"format": "detente-manifest-1", "files": {"/etc/passwd": {"bytes": 1, "crc32c": ""}}})",
        R"({"format": "detente-manifest-1", "files": {"x/../../y": {"bytes": 1, "crc32c": ""}}})",
        R"({"format": "detente-manifest-1", "files": {"": {"bytes": 1, "crc32c": ""}}})"}) {
    put("manifest.json", text);
    try {
      Manifest::read(folder_ / "manifest.json");
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kData) << text;
    }
  }
}

}  // namespace
}  // namespace detente
