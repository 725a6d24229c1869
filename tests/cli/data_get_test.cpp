// SPDX-License-Identifier: Apache-2.0
// `detente data get` on a data folder of the test's own; what stands in for curl copies a file or fails.
#include <detente/cli/cli.h>
#include <detente/core/file.h>
#include <detente/core/json.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/temp_dir.h>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <sstream>

namespace detente::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path kData = fs::path(DETENTE_SOURCE_DIR) / "data";

class DataGetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(data_ / "proteins");
    fs::create_directories(bin_);
    for (const char* name : {"get.sh", "fetch.sh", "sets.csv"})
      fs::copy(kData / name, data_ / name);
    fs::copy(kData / "proteins/prepare.sh", data_ / "proteins/prepare.sh");
    fs::copy(kData / "proteins/README.md", data_ / "proteins/README.md");
    // Of "a graph" with its line end.
    write_file_atomic(
        data_ / "proteins/SHA256SUMS",
        "7bbdad41cad3afd3d723fc8b24a5e73d15f5692bdd78dc661502361eb6e9b36b  proteins.txt\n");
    path_ = std::getenv("PATH");
  }
  void TearDown() override { ::setenv("PATH", path_.c_str(), 1); }

  // What stands in for curl: the last argument but one is the file to write.
  void network(const std::string& commands) {
    const fs::path curl = bin_ / "curl";
    write_file_atomic(
        curl,
        "#!/bin/sh\nwhile [ $# -gt 1 ]; do [ \"$1\" = --output ] && out=$2; shift; done\n" +
            commands + "\n");
    fs::permissions(curl, fs::perms::owner_all);
    ::setenv("PATH", (bin_.string() + ":" + path_).c_str(), 1);
  }
  int get(std::vector<std::string> args) {
    args.insert(args.begin(), {"data", "get", "--folder", data_.string()});
    out_.str("");
    err_.str("");
    return cli::run(args, out_, err_);
  }
  // Files of the set beside those it is shipped with.
  std::set<std::string> brought() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(data_ / "proteins")) {
      names.insert(entry.path().filename().string());
    }
    for (const char* shipped : {"SHA256SUMS", "README.md", "prepare.sh"}) names.erase(shipped);
    return names;
  }

  test::TempDir folder_;
  fs::path data_ = folder_.file("d a'ta");
  fs::path bin_ = folder_.file("bin");
  std::string path_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(DataGetTest, ListsEverySetOfTheFolder) {
  ASSERT_EQ(get({"--json"}), 0) << err_.str();
  std::set<std::string> listed;
  for (const Json& set : Json::parse(out_.str())) {
    listed.insert(set["name"]);
    EXPECT_FALSE(set["licence"].get<std::string>().empty());
    const bool fetched = set["how"] == "fetched";
    EXPECT_EQ(fetched, fs::exists(kData / set["name"].get<std::string>() / "prepare.sh"));
  }
  std::set<std::string> folders;
  for (const auto& entry : fs::directory_iterator(kData)) {
    if (entry.is_directory()) folders.insert(entry.path().filename().string());
  }
  EXPECT_EQ(listed, folders);
  EXPECT_EQ(get({}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("Free Spoken Digit Dataset"));
}

TEST_F(DataGetTest, FetchesChecksAndLeavesAloneWhatIsThere) {
  network("echo 'a graph' >\"$out\"");
  EXPECT_EQ(get({"proteins"}), 0);
  EXPECT_EQ(brought(), std::set<std::string>{"proteins.txt.gz"});
  EXPECT_EQ(read_file(data_ / "proteins/proteins.txt.gz"), "a graph\n");
  network("exit 6");
  EXPECT_EQ(get({"proteins"}), 0);
}

TEST_F(DataGetTest, LeavesNothingOfAnotherFileOrABrokenTransfer) {
  network("echo 'another graph' >\"$out\"");
  EXPECT_EQ(get({"proteins"}), 3);
  EXPECT_TRUE(brought().empty());
  network("echo half >\"$out\"; exit 18");
  EXPECT_EQ(get({"proteins"}), 3);
  EXPECT_TRUE(brought().empty());
}

TEST_F(DataGetTest, TakesAnOwnCopy) {
  network("exit 6");
  write_file_atomic(folder_.file("own; $(x).txt"), "a graph\n");
  EXPECT_EQ(get({"proteins", "--from", folder_.file("own; $(x).txt")}), 0);
  EXPECT_EQ(brought(), std::set<std::string>{"proteins.txt.gz"});
  EXPECT_EQ(get({"proteins", "--from", folder_.file("none")}), 0);  // it is there already
  fs::remove(data_ / "proteins/proteins.txt.gz");
  EXPECT_EQ(get({"proteins", "--from", folder_.file("none")}), 3);
}

TEST_F(DataGetTest, NamesWhatIsUnknown) {
  EXPECT_EQ(get({"protein"}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("proteins"));
  EXPECT_EQ(get({"../proteins"}), 2);
  EXPECT_EQ(get({"camvid"}), 2);  // listed, but this folder lacks it
  data_ = folder_.file("elsewhere");
  EXPECT_EQ(get({"proteins"}), 3);
  EXPECT_THAT(err_.str(), HasSubstr("--folder"));
}

}  // namespace
}  // namespace detente::cli
