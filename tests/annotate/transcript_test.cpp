// SPDX-License-Identifier: Apache-2.0
#include <detente/annotate/transcript.h>
#include <detente/core/error.h>
#include <detente/core/file.h>
#include <gtest/gtest.h>
#include <tests/support/temp_dir.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

namespace detente::annotate {
namespace {

using test::TempDir;

Entry entry(std::int64_t row, const std::string& task, std::int64_t call, const std::string& text) {
  ChatAnswer answer;
  answer.text = text;
  answer.prompt_tokens = 3;
  answer.answer_tokens = 2;
  const Json request{{"row", row}, {"task", task}, {"call", call}};
  return make_entry({row, task, call}, "http://h:1", request, Json::array(), 0.5, {answer, {}});
}

TEST(Transcript, IsTheSameInWhateverOrderCallsEnd) {
  const TempDir folder;
  std::vector<Entry> entries = {entry(-1, "@rows", 0, "x"),
                                entry(0, "a", 0, "\"한\n"),
                                entry(0, "a", 1, ""),
                                entry(0, "b", 0, "y"),
                                entry(2, "a", 0, "z")};
  std::string first;
  for (int turn = 0; turn < 4; ++turn) {
    std::rotate(entries.begin(), entries.begin() + 1, entries.end());
    const auto path = folder.path() / ("t" + std::to_string(turn));
    Transcript transcript;
    transcript.open(path, false);
    for (const Entry& one : entries) transcript.add(one);
    transcript.finish();
    if (first.empty()) first = read_file(path);
    EXPECT_EQ(read_file(path), first);
    EXPECT_EQ(transcript.answers(), 5u);
    EXPECT_EQ(transcript.tokens(), std::make_pair(std::int64_t{15}, std::int64_t{10}));
    Transcript again;
    again.read(path);
    for (const Entry& one : entries) {
      const auto found = again.find(one.key, one.request);
      ASSERT_TRUE(found.has_value());
      EXPECT_EQ(found->line, one.line);
      EXPECT_EQ(found->reply.answer->text, one.reply.answer->text);
    }
    EXPECT_FALSE(again.find({0, "a", 0}, "another request").has_value());
  }
}

TEST(Transcript, LosesAtMostTheLineThatWasBeingWritten) {
  const TempDir folder;
  const auto path = folder.path() / "t";
  {
    Transcript transcript;
    transcript.open(path, false);
    transcript.add(entry(0, "a", 0, "x"));
    transcript.add(entry(1, "a", 0, "y"));
  }
  const std::string whole = read_file(path);
  const std::size_t second = whole.find('\n', whole.find('\n') + 1) + 1;
  for (std::size_t cut = second; cut < whole.size(); cut += 7) {
    write_file_atomic(path, whole.substr(0, cut));
    Transcript transcript;
    transcript.open(path, true);
    EXPECT_EQ(transcript.size(), 1u);
    transcript.add(entry(1, "a", 0, "y"));
    EXPECT_EQ(read_file(path), whole);
  }
}

TEST(Transcript, IsOneProcesssAndAPlainFile) {
  const TempDir folder;
  const auto path = folder.path() / "t";
  Transcript first;
  first.open(path, false);
  Transcript second;
  EXPECT_THROW(second.open(path, true), Error);
  std::filesystem::create_symlink("t", folder.path() / "link");
  Transcript third;
  EXPECT_THROW(third.open(folder.path() / "link", true), Error);
  Transcript fourth;
  EXPECT_THROW(fourth.open("/dev/null", true), Error);
}

TEST(Transcript, RefusesWhatIsNone) {
  const TempDir folder;
  const auto path = folder.path() / "t";
  const std::string head = "{\"format\":\"detente-transcript-1\"}\n";
  for (const std::string& content :
       {std::string(),
        std::string("x\n"),
        std::string("{}\n"),
        std::string("{\"format\":\"other\"}\n"),
        head + "[]\n",
        head + "{}\n",
        head + "{\"row\":0,\"task\":\"a\",\"call\":0,\"request\":{}}\n",
        head + "{\"row\":\"0\",\"task\":\"a\",\"call\":0,\"request\":{},\"answer\":{}}\n",
        head + "{\"row\":0,\"task\":\"a\",\"call\":0,\"request\":{},\"answer\":{\"text\":3}}\n"}) {
    std::ofstream(path) << content;
    Transcript transcript;
    EXPECT_THROW(transcript.read(path), Error) << content;
  }
}

}  // namespace
}  // namespace detente::annotate
