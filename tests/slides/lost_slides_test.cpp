// SPDX-License-Identifier: Apache-2.0
// Workers that die, hang or lie, and what is left of their slides.
#include <detente/core/file.h>
#include <detente/slides/slide_worker.h>
#include <gmock/gmock.h>
#include <tests/slides/made_slides.h>
#include <tests/support/error_of.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace detente::slides {
namespace {

using detente::test::error_of;
using detente::test::TempDir;
using test::cut;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A worker of ours, in Python: it says hello, answers regions with zeros, and does to files of a name what the
// name says.
constexpr const char* kFake = R"(#!/usr/bin/env python3
import json, os, socket, struct, sys, time
line = socket.socket(fileno=os.dup(0))
def take(count):
    taken = b""
    while len(taken) < count:
        part = line.recv(count - len(taken))
        if not part:
            os._exit(0)
        taken += part
    return taken
def say(kind, ticket, text):
    line.sendall(struct.pack("<IIQ", ord(kind), len(text), ticket) + text)
hello = json.loads(os.environ.get("FAKE_HELLO", "null")) or {
    "protocol": 1, "openslide": "9.9", "library": "fake", "shared_cache": True}
say("H", 0, json.dumps(hello).encode())
while True:
    kind, size, ticket = struct.unpack("<IIQ", take(16))
    text = take(size)
    if chr(kind) == "M":
        continue
    name = os.path.basename(text[64:].decode() if chr(kind) == "R" else text.decode())
    if name == "hang":
        time.sleep(1000)
    elif name == "exit":
        print("I go now.\nFarewell.", file=sys.stderr, flush=True)
        os._exit(7)
    elif name == "kill":
        os.kill(os.getpid(), 9)
    elif name == "nonsense":
        line.sendall(b"\xff" * 100)
    elif name == "other ticket":
        say("D", ticket + 1, struct.pack("<I", 1))
    elif name == "huge":
        line.sendall(struct.pack("<IIQ", ord("D"), 2**32 - 1, ticket))
    elif name == "unasked":
        say("D", ticket, struct.pack("<I", 1))
        say("D", ticket, struct.pack("<I", 1))
        say("D", ticket, struct.pack("<I", 1))
    elif name == "flood":
        while True:
            line.sendall(b"N" * 65536)
    elif name == "no json":
        say("I", ticket, b"[1, 2")
    elif name == "wrong json":
        say("I", ticket, b'{"vendor": 3}')
    elif name == "once" and not os.path.exists(text[64:].decode() + ".seen"):
        open(text[64:].decode() + ".seen", "w").close()
        os._exit(1)
    elif chr(kind) == "R":
        say("D", ticket, struct.pack("<I", 0))
    else:
        say("N", ticket, b"no")
)";

constexpr Region kSome{0, 0, 0, 4, 4, 4, 4};

class FakeWorker {
 public:
  FakeWorker() : program_(folder_.write("worker", kFake)) {
    std::filesystem::permissions(program_, std::filesystem::perms::owner_all);
  }
  std::string file(const std::string& name) const {
    return std::filesystem::exists(folder_.file(name)) ? folder_.file(name)
                                                       : folder_.write(name, "something");
  }
  SlideWorkersOptions options() const {
    return {.seconds = 2, .start_seconds = 20, .program = program_};
  }

 private:
  TempDir folder_;
  std::string program_;
};

TEST(LostSlides, CostThemselvesAndNothingElse) {
  const FakeWorker fake;
  struct Case {
    const char* name;
    const char* words;
    std::int64_t restarts;
  };
  for (const Case& one :
       {Case{"exit", "ended with exit code 7; its last words: I go now.\nFarewell.", 2},
        Case{"kill", "was ended by signal 9 (Killed)", 2},
        Case{"nonsense", "said what no worker says", 1},
        Case{"other ticket", "said what no worker says", 1},
        Case{"huge", "said what no worker says", 1},
        Case{"flood", "said what no worker says", 1},
        Case{"hang", "did not answer for 2 s and was killed", 1}}) {
    SlideWorkers reader(fake.options());
    const std::string bad = fake.file(one.name);
    const std::string good = fake.file("good");
    const auto before = reader.ask(good, kSome);
    const auto lost = reader.ask(bad, kSome);
    const auto after = reader.ask(good, kSome);
    const auto again = reader.ask(bad, kSome);
    EXPECT_EQ(reader.take(before).values.size(), 48U);
    EXPECT_EQ(reader.take(after).values.size(), 48U) << one.name;
    for (const auto ticket : {lost, again}) {
      const Error error = error_of([&] { reader.take(ticket); });
      EXPECT_EQ(error.code(), ErrorCode::kData);
      EXPECT_THAT(error.what(), HasSubstr(one.words));
      EXPECT_THAT(error.what(), HasSubstr("'" + bad + "'"));
    }
    // At once from now on.
    EXPECT_EQ(error_of([&] { reader.read(bad, kSome); }).code(), ErrorCode::kData);
    EXPECT_EQ(reader.read(good, kSome).values.size(), 48U);
    EXPECT_EQ(reader.bad().size(), 1U);
    EXPECT_EQ(reader.statistics().restarts, one.restarts) << one.name;
  }
}

TEST(LostSlides, AreTriedOnceMoreAfterACrash) {
  const FakeWorker fake;
  SlideWorkers reader(fake.options());
  const std::string once = fake.file("once");
  EXPECT_EQ(reader.read(once, kSome).values.size(), 48U);
  EXPECT_THAT(reader.bad(), IsEmpty());
  EXPECT_EQ(reader.statistics().restarts, 1);
}

TEST(LostSlides, AreThoseWhoseDescriptionIsNonsense) {
  const FakeWorker fake;
  SlideWorkers reader(fake.options());
  for (const char* name : {"no json", "wrong json", "unasked"}) {
    const Error error = error_of([&] { reader.info(fake.file(name)); });
    EXPECT_EQ(error.code(), ErrorCode::kData) << name;
    EXPECT_THAT(error.what(), HasSubstr("said what no worker says"));
  }
  EXPECT_EQ(reader.bad().size(), 3U);
}

TEST(LostSlides, DoNotHappenWithSeveralWorkersToOthers) {
  const FakeWorker fake;
  SlideWorkersOptions options = fake.options();
  options.workers = 2;
  SlideWorkers reader(options);
  std::vector<SlideReader::Ticket> tickets;
  std::vector<std::string> files;
  for (int i = 0; i < 60; ++i) {
    const bool bad = i % 20 == 7;
    files.push_back(fake.file(bad ? "kill" : "good" + std::to_string(i % 7)));
    tickets.push_back(reader.ask(files.back(), kSome));
  }
  int lost = 0;
  for (std::size_t i = 0; i < tickets.size(); ++i) {
    try {
      reader.take(tickets[i]);
    } catch (const Error& error) {
      EXPECT_THAT(files[i], HasSubstr("kill")) << error.what();
      ++lost;
    }
  }
  EXPECT_EQ(lost, 3);
  EXPECT_EQ(reader.bad().size(), 1U);
}

TEST(SlideWorkerProgram, IsNamedWhereItDoesNotComeUp) {
  const TempDir folder;
  const auto start = [&](const std::string& name, const std::string& script) {
    const std::string program = folder.write(name, script);
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    const Error error =
        error_of([&] { const SlideWorkers reader({.start_seconds = 1, .program = program}); });
    EXPECT_THAT(error.what(), HasSubstr("'" + program + "'"));
    return error;
  };
  const Error dies = start("dies", "#!/bin/sh\necho no luck >&2\nexit 3\n");
  EXPECT_EQ(dies.code(), ErrorCode::kPeerLost);
  EXPECT_THAT(dies.what(), HasSubstr("ended with exit code 3"));
  EXPECT_THAT(dies.what(), HasSubstr("no luck"));
  EXPECT_THAT(start("hangs", "#!/bin/sh\nsleep 100\n").what(), HasSubstr("did not answer for 1 s"));
  EXPECT_THAT(start("talks", "#!/bin/sh\nhead -c 100000 /dev/zero >&0\nsleep 5\n").what(),
              HasSubstr("does not come up"));
  EXPECT_EQ(error_of([&] { const SlideWorkers reader({.program = folder.file("none")}); }).code(),
            ErrorCode::kIo);
  EXPECT_EQ(start("text", "no program at all").code(), ErrorCode::kPeerLost);
}

TEST(SlideWorkerProgram, SaysWhatItLacks) {
  const FakeWorker fake;
  ::setenv("FAKE_HELLO", R"({"protocol": 1, "problem": "no library, install it"})", 1);
  const Error lacks = error_of([&] { const SlideWorkers reader(fake.options()); });
  ::setenv("FAKE_HELLO", R"({"protocol": 2, "openslide": "5"})", 1);
  const Error other = error_of([&] { const SlideWorkers reader(fake.options()); });
  ::unsetenv("FAKE_HELLO");
  EXPECT_EQ(lacks.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(lacks.what(), HasSubstr("no library, install it"));
  EXPECT_EQ(other.code(), ErrorCode::kPeerLost);
  EXPECT_THAT(other.what(), HasSubstr("not the worker of this version"));
}

TEST(SlideWorkerProgram, NamesThePlacesWhereNoOpenSlideIs) {
  const char* before = std::getenv("DETENTE_OPENSLIDE");
  const std::string kept = before == nullptr ? "" : before;
  const TempDir folder;
  ::setenv("DETENTE_OPENSLIDE", folder.file("nothing.so").c_str(), 1);
  const Error absent = error_of([] { const SlideWorkers reader; });
  ::setenv("DETENTE_OPENSLIDE", folder.write("text.so", "not a library").c_str(), 1);
  const Error text = error_of([] { const SlideWorkers reader; });
  // A library, but not that one.
  ::setenv("DETENTE_OPENSLIDE", "libm.so.6", 1);
  const Error other = error_of([] { const SlideWorkers reader; });
  ::setenv("DETENTE_OPENSLIDE", kept.c_str(), 1);
  EXPECT_EQ(absent.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(absent.what(), HasSubstr(folder.file("nothing.so") + ": it is not there"));
  EXPECT_THAT(absent.what(), HasSubstr("pip install openslide-bin"));
  EXPECT_THAT(text.what(), HasSubstr("no library for this machine"));
  EXPECT_THAT(other.what(), HasSubstr("undefined symbol: openslide_open"));
}

TEST(SlideWorkers, GoOnAfterAWorkerWasKilled) {
  DETENTE_SLIDE_WORKERS(reader, .workers = 2);
  const TempDir folder;
  const Picture picture = sample_picture(640, 480);
  std::vector<std::string> files;
  for (int i = 0; i < 4; ++i) {
    files.push_back(folder.write(std::to_string(i) + ".tiff", sample_slide(picture, {.tile = 64})));
  }
  std::vector<SlideReader::Ticket> tickets;
  for (std::int64_t i = 0; i < 400; ++i) {
    tickets.push_back(
        reader.ask(files[static_cast<std::size_t>(i / 100)], {i % 100, i, 0, 64, 64, 64, 64}));
  }
  for (std::int64_t i = 0; i < 400; ++i) {
    if (i == 50) {
      for (const int pid : reader.processes()) ::kill(pid, SIGKILL);
    }
    ASSERT_EQ(reader.take(tickets[static_cast<std::size_t>(i)]).values,
              cut(picture, i % 100, i, 64, 64).values);
  }
  EXPECT_THAT(reader.bad(), IsEmpty());
  EXPECT_GE(reader.statistics().restarts, 1);
}

TEST(SlideWorkers, LeaveNothingBehind) {
  const auto open_descriptors = [] {
    const std::filesystem::directory_iterator descriptors("/proc/self/fd");
    return std::distance(begin(descriptors), end(descriptors));
  };
  const FakeWorker fake;
  const auto before = open_descriptors();
  std::vector<int> pids;
  for (int i = 0; i < 3; ++i) {
    SlideWorkers reader(fake.options());
    reader.ask(fake.file("good"), kSome);
    reader.ask(fake.file("hang"), kSome);
    reader.drop(reader.ask(fake.file("good"), kSome));
    for (const int pid : reader.processes()) pids.push_back(pid);
  }
  EXPECT_EQ(open_descriptors(), before);
  ASSERT_EQ(pids.size(), 3U);
  for (const int pid : pids) EXPECT_NE(::kill(pid, 0), 0);
}

}  // namespace
}  // namespace detente::slides
