// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/simd/caches.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace detente::simd {
namespace {

namespace fs = std::filesystem;

// A folder like /sys/devices/system/cpu/cpu0/cache.
class CacheFolder {
 public:
  CacheFolder()
      : path_(fs::temp_directory_path() / ("detente_caches_" + std::to_string(getpid()))) {
    fs::create_directories(path_);
  }
  ~CacheFolder() { fs::remove_all(path_); }
  CacheFolder(const CacheFolder&) = delete;
  CacheFolder& operator=(const CacheFolder&) = delete;

  void add(const std::string& level,
           const std::string& type,
           const std::string& size,
           const std::string& shared) {
    const fs::path one = path_ / ("index" + std::to_string(count_++));
    fs::create_directories(one);
    std::ofstream(one / "level") << level << "\n";
    std::ofstream(one / "type") << type << "\n";
    std::ofstream(one / "size") << size << "\n";
    std::ofstream(one / "shared_cpu_list") << shared << "\n";
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  int count_ = 0;
};

TEST(Caches, AreReadFromTheSystemsFolder) {
  CacheFolder folder;
  folder.add("1", "Data", "32K", "0,64");
  folder.add("1", "Instruction", "64K", "0,64");
  folder.add("2", "Unified", "512K", "0,64");
  folder.add("3", "Unified", "32768K", "0-7,64-71");
  const Caches found = read_caches(folder.path());
  EXPECT_EQ(found.l1d, 32 << 10);
  EXPECT_EQ(found.l2, 512 << 10);
  EXPECT_EQ(found.l3, 2 << 20);  // a sixteenth
}

TEST(Caches, TakeMegabytes) {
  CacheFolder folder;
  folder.add("2", "Unified", "2M", "0");
  EXPECT_EQ(read_caches(folder.path()).l2, 2 << 20);
}

TEST(Caches, AreSaneWhereTheFolderSaysNothingOrNonsense) {
  const Caches nothing = read_caches("/nowhere");
  EXPECT_GT(nothing.l1d, 0);
  EXPECT_GT(nothing.l2, 0);
  EXPECT_GT(nothing.l3, 0);
  CacheFolder folder;
  folder.add("1", "Data", "", "");
  folder.add("2", "Unified", "-4K", "x");
  folder.add("3", "Unified", "12T", "3-1");
  const Caches found = read_caches(folder.path());
  EXPECT_EQ(found.l1d, nothing.l1d);
  EXPECT_EQ(found.l2, nothing.l2);
  EXPECT_EQ(found.l3, nothing.l3);
}

TEST(Caches, HaveAnOverrideForTheSecond) {
  const Caches found = read_caches("/nowhere");
  EXPECT_EQ(with_override(found, nullptr).l2, found.l2);
  EXPECT_EQ(with_override(found, "").l2, found.l2);
  EXPECT_EQ(with_override(found, "256").l2, 256 << 10);
  EXPECT_EQ(with_override(found, "256").l1d, found.l1d);
  for (const char* wrong : {"15", "0", "-1", "512K", "much", "99999999999999999999"}) {
    EXPECT_THROW(with_override(found, wrong), Error) << wrong;
  }
}

TEST(Caches, OfThisMachineAreOrdered) {
  EXPECT_LE(caches().l1d, caches().l2);
  EXPECT_GE(caches().l1d, 4 << 10);
}

}  // namespace
}  // namespace detente::simd
