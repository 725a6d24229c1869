// SPDX-License-Identifier: Apache-2.0
#include <detente/core/file.h>
#include <detente/slides/internal/confine.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <tests/slides/made_slides.h>
#include <tests/support/temp_dir.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

namespace detente::slides::internal {
namespace {

constexpr int kNotConfined = 77;

// How a confined child ends that does `work` and exits with its result.
int status_of(const std::function<int()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    ::_exit(confine_process() ? work() : kNotConfined);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return status;
}

int code_of(const std::function<int()>& work) {
  const int status = status_of(work);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

class Confined : public ::testing::Test {
 protected:
  void SetUp() override {
    if (code_of([] { return 0; }) == kNotConfined) GTEST_SKIP() << "no seccomp filters here";
    file_ = folder_.write("kept.txt", "kept");
  }

  test::TempDir folder_;
  std::string file_;
};

TEST_F(Confined, ReadsAndHasThreads) {
  EXPECT_EQ(code_of([&] {
              char text[5] = {};
              const int descriptor = ::open(file_.c_str(), O_RDONLY | O_CLOEXEC);
              if (descriptor < 0 || ::read(descriptor, text, 4) != 4) return 1;
              if (std::string(text) != "kept") return 2;
              int sum = 0;
              std::thread([&] {
                std::thread([&] { sum += 1; }).join();
                sum += 2;
              }).join();
              rlimit limit{};
              if (::getrlimit(RLIMIT_STACK, &limit) != 0) return 3;
              return sum == 3 ? 0 : 4;
            }),
            0);
  EXPECT_EQ(read_file(file_), "kept");
}

// What each of them answers, and that nothing has come of it.
TEST_F(Confined, IsRefusedWhatReachesOut) {
  const std::string other = folder_.file("other.txt");
  const std::string name = file_;
  const pid_t parent = ::getpid();
  const auto refused = [](auto call) {
    return [call] {
      errno = 0;
      return call() == -1 && errno == EPERM ? 0 : 1;
    };
  };
  const auto child = [] {
    const pid_t made = ::fork();
    if (made == 0) ::_exit(0);
    return made;
  };
  const std::pair<const char*, std::function<int()>> cases[] = {
      {"open for writing", refused([=] { return ::open(name.c_str(), O_WRONLY | O_CLOEXEC); })},
      {"open for both", refused([=] { return ::open(name.c_str(), O_RDWR | O_CLOEXEC); })},
      {"open to empty", refused([=] { return ::open(name.c_str(), O_TRUNC | O_CLOEXEC); })},
      {"open to make", refused([=] { return ::open(other.c_str(), O_CREAT | O_CLOEXEC, 0600); })},
      {"creat", refused([=] { return ::creat(other.c_str(), 0600); })},
      {"unlink", refused([=] { return ::unlink(name.c_str()); })},
      {"rename", refused([=] { return ::rename(name.c_str(), other.c_str()); })},
      {"link", refused([=] { return ::link(name.c_str(), other.c_str()); })},
      {"symlink", refused([=] { return ::symlink(name.c_str(), other.c_str()); })},
      {"mkdir", refused([=] { return ::mkdir(other.c_str(), 0700); })},
      {"chmod", refused([=] { return ::chmod(name.c_str(), 0777); })},
      {"truncate", refused([=] { return ::truncate(name.c_str(), 0); })},
      {"socket", refused([] { return ::socket(AF_INET, SOCK_STREAM, 0); })},
      {"unix socket", refused([] { return ::socket(AF_UNIX, SOCK_STREAM, 0); })},
      {"fork", refused(child)},
      {"exec", refused([] {
         char path[] = "/bin/true";
         char* arguments[] = {path, nullptr};
         return ::execv(path, arguments);
       })},
      {"kill", refused([=] { return ::kill(parent, 0); })},
      {"limits of others",
       refused([=] { return ::prlimit(parent, RLIMIT_CORE, nullptr, nullptr); })},
      {"ptrace", refused([=] { return static_cast<int>(::ptrace(PTRACE_ATTACH, parent, 0, 0)); })},
  };
  for (const auto& [what, call] : cases) EXPECT_EQ(code_of(call), 0) << what;
  EXPECT_EQ(code_of([] { return std::system("true") == 0 ? 1 : 0; }), 0);
  EXPECT_EQ(read_file(file_), "kept");
  EXPECT_NE(::access(other.c_str(), F_OK), 0);
  struct stat status {};
  ASSERT_EQ(::stat(file_.c_str(), &status), 0);
  EXPECT_EQ(status.st_nlink, 1U);
  EXPECT_EQ(status.st_mode & 0777U & 0111U, 0U);
}

TEST_F(Confined, StillEndsByItsOwnFaults) {
  const auto ended_by = [](const std::function<int()>& work) {
    const int status = status_of([&] {
      const rlimit none{0, 0};
      ::setrlimit(RLIMIT_CORE, &none);
      for (const int one : {SIGABRT, SIGSEGV}) std::signal(one, SIG_DFL);
      return work();
    });
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  };
  EXPECT_EQ(ended_by([]() -> int { std::abort(); }), SIGABRT);
  EXPECT_EQ(ended_by([] { return ::raise(SIGSEGV); }), SIGSEGV);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_F(Confined, AreTheWorkers) {
  DETENTE_SLIDE_WORKERS(reader);
  EXPECT_TRUE(reader.facts().confined);
}
#endif

// A thread that was there before gives it up as well.
TEST_F(Confined, HoldsForAllThreads) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int ends[2];
    if (::pipe(ends) != 0) ::_exit(1);
    int answer = 1;
    std::thread before([&] {
      char go = 0;
      if (::read(ends[0], &go, 1) != 1) return;
      answer = ::socket(AF_INET, SOCK_STREAM, 0) == -1 && errno == EPERM ? 0 : 2;
    });
    if (!confine_process() || ::write(ends[1], "x", 1) != 1) ::_exit(3);
    before.join();
    ::_exit(answer);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace detente::slides::internal
