// SPDX-License-Identifier: Apache-2.0
#include <detente/serve/folder.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <tests/support/error_of.h>
#include <tests/support/temp_dir.h>

#include <filesystem>

namespace detente::serve {
namespace {

namespace fs = std::filesystem;

class FolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(temp_.path() / "in/a b");
    fs::create_directories(temp_.path() / "in-too");
    temp_.write("secret.txt", "SECRET");
    temp_.write("in-too/x.txt", "SECRET");
    temp_.write("in/a b/x.txt", "inside");
  }
  void link(const fs::path& target, const std::string& name) const {
    fs::create_symlink(target, temp_.path() / "in" / name);
  }
  std::optional<std::string> text(const Segments& segments) const {
    return Folder(temp_.path() / "in").text(segments, 1000);
  }

  test::TempDir temp_;
};

TEST_F(FolderTest, OpensWhatIsInside) {
  EXPECT_EQ(text({"a b", "x.txt"}), "inside");
  EXPECT_EQ(text({"a b"}), std::nullopt);
  EXPECT_EQ(text({"a b", "x.txt", "y"}), std::nullopt);
  EXPECT_EQ(text({}), std::nullopt);
  EXPECT_EQ(Folder(temp_.path() / "in").text({"a b", "x.txt"}, 5), std::nullopt);
}

TEST_F(FolderTest, FollowsLinksThatStayInside) {
  link("a b/x.txt", "file");
  link(temp_.path() / "in/a b", "folder");
  link("folder", "again");
  EXPECT_EQ(text({"file"}), "inside");
  EXPECT_EQ(text({"again", "x.txt"}), "inside");
  EXPECT_TRUE(Folder(temp_.path() / "in").has_folder({"again"}));
}

TEST_F(FolderTest, OpensNothingOutside) {
  link("../secret.txt", "relative");
  link(temp_.path() / "secret.txt", "absolute");
  link("..", "up");
  link("/", "root");
  link("../in-too", "beside");  // whose name begins like the folder's
  link("relative", "twice");
  link("loop", "loop");
  link("nothing", "dangling");
  for (const Segments& segments : {Segments{"relative"},
                                   {"absolute"},
                                   {"up", "secret.txt"},
                                   {"root", "etc", "passwd"},
                                   {"beside", "x.txt"},
                                   {"twice"},
                                   {"loop"},
                                   {"dangling"},
                                   {".."},
                                   {"..", "secret.txt"}}) {
    EXPECT_EQ(text(segments), std::nullopt) << joined(segments);
  }
  EXPECT_FALSE(Folder(temp_.path() / "in").has_folder({"beside"}));
  EXPECT_FALSE(Folder(temp_.path() / "in").has_folder({"up"}));
}

TEST_F(FolderTest, OpensNoPipe) {
  ASSERT_EQ(mkfifo((temp_.path() / "in/pipe").c_str(), 0600), 0);
  EXPECT_EQ(text({"pipe"}), std::nullopt);
}

TEST_F(FolderTest, MayBeALinkItself) {
  fs::create_directory_symlink(temp_.path() / "in", temp_.path() / "linked");
  EXPECT_EQ(Folder(temp_.path() / "linked").text({"a b", "x.txt"}, 1000), "inside");
}

TEST_F(FolderTest, SaysWhatIsMissing) {
  const Error error = test::error_of([&] { Folder(temp_.path() / "none"); });
  EXPECT_EQ(error.code(), ErrorCode::kIo);
  EXPECT_NE(std::string(error.what()).find("none"), std::string::npos);
  EXPECT_EQ(test::error_of([&] { Folder(temp_.path() / "secret.txt"); }).code(), ErrorCode::kIo);
}

TEST(ContentType, IsThereForWhatIsServedAlone) {
  EXPECT_EQ(content_type_of({"comparison.html"}), "text/html; charset=utf-8");
  EXPECT_EQ(content_type_of({"runs", "A.JSON"}), "application/json");
  for (const Segments& segments : {Segments{},
                                   {"model.safetensors"},
                                   {"html"},
                                   {".html"},
                                   {".git", "x.json"},
                                   {"x.html.exe"},
                                   {"r", "snapshots", "step-1", "manifest.json"},
                                   {"events.out.tfevents.1"}}) {
    EXPECT_EQ(content_type_of(segments), std::nullopt) << joined(segments);
  }
}

}  // namespace
}  // namespace detente::serve
