// SPDX-License-Identifier: Apache-2.0
// The group on LibTorch's collectives, its processes played by threads that meet on loopback.
#include <arpa/inet.h>
#include <detente/core/error.h>
#include <detente/parallel/process_group.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <torch/torch.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstring>
#include <exception>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace detente::parallel {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

int free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  socklen_t length = sizeof address;
  EXPECT_EQ(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length), 0);
  ::close(socket);
  return ntohs(address.sin_port);
}

launch::Launch place(int rank, int size, int port, const std::string& job = "test") {
  launch::Launch launch;
  launch.rank = launch.local_rank = rank;
  launch.size = launch.local_size = size;
  launch.port = port;
  launch.job = job;
  return launch;
}

using Group = std::shared_ptr<ProcessGroup>;

// Calls `work` in every process of a group; what each threw, nothing where it did not.
std::vector<std::optional<Error>> in_all(int size,
                                         const std::function<void(const Group&)>& work,
                                         double timeout_s = 20) {
  const int port = free_port();
  std::vector<std::optional<Error>> errors(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        const Group group = ProcessGroup::join(place(rank, size, port), {.timeout_s = timeout_s});
        work(group);
        group->wait();  // rank 0 keeps the meeting place
      } catch (const Error& error) {
        errors[static_cast<std::size_t>(rank)] = error;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  return errors;
}

void all_well(int size, const std::function<void(const Group&)>& work) {
  for (const auto& error : in_all(size, work)) {
    if (error) ADD_FAILURE() << error->what();
  }
}

class Sizes : public testing::TestWithParam<int> {};

TEST_P(Sizes, SumsAreTheSameEverywhere) {
  const int size = GetParam();
  std::vector<std::vector<double>> found(static_cast<std::size_t>(size));
  std::vector<at::Tensor> tensors(static_cast<std::size_t>(size));
  all_well(size, [&](const Group& group) {
    const auto r = static_cast<std::size_t>(group->rank());
    for (int i = 0; i < 7; ++i) found[r].push_back(1.0 / (3 + i + 10 * group->rank()));
    group->sum(found[r]);
    // One that does not lie in one piece.
    tensors[r] = torch::full({3, 5}, group->rank() + 0.1, torch::kFloat).t();
    group->sum(tensors[r]);
  });
  for (int i = 0; i < 7; ++i) {
    double total = 0;
    for (int r = 0; r < size; ++r) total += 1.0 / (3 + i + 10 * r);
    EXPECT_NEAR(found[0][static_cast<std::size_t>(i)], total, 1e-15);
  }
  for (const auto& one : found) EXPECT_EQ(one, found[0]);  // to the bit
  const double expected = 0.1 * size + size * (size - 1) / 2.0;
  for (const auto& one : tensors) {
    EXPECT_TRUE(torch::equal(one, tensors[0]));
    EXPECT_NEAR(one[4][2].item<double>(), expected, 1e-5);
  }
}

TEST_P(Sizes, EachGetsItsColumnsOfTheSumAndAllGatherThem) {
  const int size = GetParam();
  const std::int64_t each = 5;
  all_well(size, [&](const Group& group) {
    const auto base = torch::arange(3 * size * each, torch::kDouble).view({3, size * each});
    at::Tensor own = torch::empty({3, each}, torch::kDouble);
    group->scatter_sum(base * (group->rank() + 1), own);
    const double factor = size * (size + 1) / 2.0;
    EXPECT_TRUE(torch::equal(own, factor * base.narrow(1, group->rank() * each, each)));
    at::Tensor all = torch::empty({size * each}, torch::kDouble);
    group->gather(own[1].contiguous(), all);
    EXPECT_TRUE(torch::equal(all, factor * base[1]));
    // Nothing to share is shared.
    at::Tensor none = torch::empty({3, 0});
    group->scatter_sum(none, none);
    std::vector<double> no_numbers;
    group->sum(no_numbers);
  });
}

TEST_P(Sizes, TellWhatRankZeroSays) {
  all_well(GetParam(), [&](const Group& group) {
    const std::string text = std::string("grüße\0 an alle", 16) + std::string(100000, 'x');
    EXPECT_EQ(group->from_first(group->rank() == 0 ? text : "not this"), text);
    EXPECT_EQ(group->from_first(group->rank() == 0 ? "" : "nor this"), "");
    EXPECT_TRUE(tensor::any(*group, group->rank() + 1 == group->size()));
    EXPECT_FALSE(tensor::any(*group, false));
  });
}

TEST_P(Sizes, SendAsManyBytesAsTheySay) {
  const int size = GetParam();
  const double w = size;
  const std::int64_t each = 1000;
  all_well(size, [&](const Group& group) {
    auto sent = [&, before = group->bytes_sent()]() mutable {
      const auto now = group->bytes_sent();
      return static_cast<double>(now - std::exchange(before, now));
    };
    at::Tensor rows = torch::ones({4, size * each});
    at::Tensor own = torch::empty({4, each});
    group->scatter_sum(rows, own);
    EXPECT_NEAR(sent(), 4.0 * (w - 1) * 4 * each, 1);
    at::Tensor all = torch::empty({size * each});
    group->gather(own[0].contiguous(), all);
    EXPECT_NEAR(sent(), (w - 1) * 4 * each, 1);
  });
}

INSTANTIATE_TEST_SUITE_P(Worlds, Sizes, testing::Values(1, 2, 3, 4));

TEST(ProcessGroup, TheCountOfBytesIsThatOfTheInterface) {
  const auto of_interface = [] {
    std::ifstream file("/sys/class/net/lo/statistics/tx_bytes");
    double bytes = -1;
    file >> bytes;
    return bytes;
  };
  if (of_interface() < 0) GTEST_SKIP() << "no counter of loopback here";
  const std::int64_t each = 2'000'000;
  double counted = 0;
  double measured = 0;
  // Others may use loopback at the same time: the least of a few tries.
  for (int attempt = 0; attempt < 3; ++attempt) {
    double bytes = 0;
    double before = 0;
    double after = 0;
    all_well(2, [&](const Group& group) {
      at::Tensor rows = torch::ones({4, 2 * each});
      at::Tensor own = torch::empty({4, each});
      group->wait();
      if (group->rank() == 0) before = of_interface();
      group->wait();
      group->scatter_sum(rows, own);
      at::Tensor all = torch::empty({2 * each});
      group->gather(own[0].contiguous(), all);
      group->wait();
      if (group->rank() == 0) {
        after = of_interface();
        bytes = 2.0 * static_cast<double>(group->bytes_sent());
      }
    });
    if (attempt == 0 || after - before < measured) measured = after - before;
    counted = bytes;
  }
  EXPECT_GT(measured, counted);
  EXPECT_LT(measured, 1.02 * counted + 200'000);
}

TEST(ProcessGroup, OneProcessThatGivesUpEndsTheWaitOfAll) {
  const auto begin = std::chrono::steady_clock::now();
  const auto errors = in_all(3, [](const Group& group) {
    if (group->rank() == 1) {
      group->give_up("the file x.csv is missing");
      throw Error(ErrorCode::kIo, "the file x.csv is missing");
    }
    double number = 1;
    group->sum(std::span(&number, 1));
  });
  ASSERT_TRUE(errors[0] && errors[1] && errors[2]);
  for (const std::size_t rank : {0U, 2U}) {
    EXPECT_EQ(errors[rank]->code(), ErrorCode::kPeerLost);
    EXPECT_THAT(errors[rank]->what(), HasSubstr("rank 1 has failed: the file x.csv is missing"));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 30s);
}

// Rank 0 takes the meeting place with it. One that was busy then, and asks when nobody answers any more, still knows.
TEST(ProcessGroup, WhoWasBusyKnowsWhyRankZeroEnded) {
  const auto begin = std::chrono::steady_clock::now();
  double left_after = 0;
  const auto errors = in_all(2, [&](const Group& group) {
    if (group->rank() == 0) {
      group->give_up("the disk is full");
      left_after = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      throw Error(ErrorCode::kIo, "the disk is full");
    }
    std::this_thread::sleep_for(6s);
    double number = 1;
    group->sum(std::span(&number, 1));
  });
  ASSERT_TRUE(errors[1]);
  EXPECT_EQ(errors[1]->code(), ErrorCode::kPeerLost);
  EXPECT_THAT(errors[1]->what(), HasSubstr("rank 0 has failed: the disk is full"));
  EXPECT_LT(left_after, 6);  // it does not wait for those who are busy
}

TEST(ProcessGroup, SomebodyWhoDoesNotTakePartIsNotWaitedForLongerThanTheTimeout) {
  const auto begin = std::chrono::steady_clock::now();
  const auto errors = in_all(
      2,
      [](const Group& group) {
        if (group->rank() == 1) {
          std::this_thread::sleep_for(5s);  // alive, but busy
          return;
        }
        double number = 1;
        group->sum(std::span(&number, 1));
      },
      1.5);
  ASSERT_TRUE(errors[0]);
  EXPECT_EQ(errors[0]->code(), ErrorCode::kPeerLost);
  EXPECT_THAT(errors[0]->what(), HasSubstr("alive"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s);
}

TEST(ProcessGroup, WaitsForSomebodyWhoWorksLongerThanTheTimeout) {
  for (const auto& error : in_all(
           2,
           [](const Group& group) {
             if (group->rank() == 1) std::this_thread::sleep_for(5s);
             group->wait();
           },
           2.5)) {
    if (error) ADD_FAILURE() << error->what();
  }
}

TEST(ProcessGroup, AWaitEndsWhenSomebodyHasGoneWithoutAWord) {
  const auto begin = std::chrono::steady_clock::now();
  const auto errors = in_all(
      3,
      [](const Group& group) {
        if (group->rank() == 2) fail(ErrorCode::kData, "gone");
        if (group->rank() == 1) std::this_thread::sleep_for(1s);
        group->wait();
      },
      60);
  for (const std::size_t rank : {0U, 1U}) {
    ASSERT_TRUE(errors[rank]);
    EXPECT_EQ(errors[rank]->code(), ErrorCode::kPeerLost);
    EXPECT_THAT(errors[rank]->what(), HasSubstr("does not answer"));
  }
  EXPECT_THAT(errors[0]->what(), HasSubstr("rank 2 does not answer"));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 20s);
}

// Gloo's own writes raise SIGPIPE where the other side has gone within this moment.
TEST(ProcessGroup, AClosedConnectionIsNoReasonToDie) {
  struct sigaction before {};
  struct sigaction plain {};
  plain.sa_handler = SIG_DFL;
  ASSERT_EQ(::sigaction(SIGPIPE, &plain, &before), 0);
  all_well(2, [](const Group& group) { group->wait(); });
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  EXPECT_EQ(::write(ends[1], "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
  // A program's own handler is left alone.
  plain.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGPIPE, &plain, nullptr), 0);
  all_well(2, [](const Group& group) { group->wait(); });
  struct sigaction after {};
  ASSERT_EQ(::sigaction(SIGPIPE, &before, &after), 0);
  EXPECT_EQ(after.sa_handler, plain.sa_handler);
  ::close(ends[1]);
}

// Each process alone, in a thread of its own.
// Those who come late must find the others still there.
std::vector<std::string> join_all(const std::vector<launch::Launch>& launches,
                                  double timeout_s,
                                  std::chrono::milliseconds stay = 0ms) {
  std::vector<std::string> said(launches.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < launches.size(); ++i) {
    threads.emplace_back([&, i] {
      try {
        const Group group = ProcessGroup::join(launches[i], {.timeout_s = timeout_s});
        std::this_thread::sleep_for(stay);
        group->wait();
      } catch (const Error& error) {
        said[i] = error.what();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  return said;
}

TEST(ProcessGroup, NamesThoseWhoHaveNotCome) {
  const int port = free_port();
  const auto said = join_all({place(0, 4, port), place(2, 4, port)}, 2);
  for (const auto& one : said) EXPECT_THAT(one, HasSubstr("ranks 1 and 3 of 4"));
}

TEST(ProcessGroup, SaysThatRankZeroIsNotThere) {
  const auto said = join_all({place(1, 2, free_port())}, 2);
  EXPECT_THAT(said[0], HasSubstr("cannot reach 127.0.0.1:"));
}

TEST(ProcessGroup, ALateRankZeroIsWaitedFor) {
  const int port = free_port();
  std::string said[2];
  const auto join = [&](int rank) {
    try {
      const Group group = ProcessGroup::join(place(rank, 2, port), {.timeout_s = 20});
      group->wait();
    } catch (const Error& error) {
      said[rank] = error.what();
    }
  };
  std::thread early(join, 1);
  std::this_thread::sleep_for(2s);
  std::thread late(join, 0);
  early.join();
  late.join();
  EXPECT_EQ(said[0], "");
  EXPECT_EQ(said[1], "");
}

TEST(ProcessGroup, TwoSizesAreSaidByBoth) {
  const int port = free_port();
  const auto said = join_all({place(0, 2, port), place(1, 3, port)}, 5);
  for (const auto& one : said) EXPECT_THAT(one, HasSubstr("one of 3"));
}

TEST(ProcessGroup, TwoOfOneRankAreRefused) {
  const int port = free_port();
  const auto said = join_all({place(0, 2, port), place(1, 2, port), place(1, 2, port)}, 3, 2s);
  EXPECT_THAT(said[1] + said[2], HasSubstr("two processes say that they are rank 1"));
}

TEST(ProcessGroup, AnotherRunAtThePortIsRefused) {
  const int port = free_port();
  const auto said = join_all({place(0, 2, port, "mine"), place(1, 2, port, "yours")}, 3);
  EXPECT_THAT(said[0] + said[1], HasSubstr("another run"));
}

TEST(ProcessGroup, ATakenPortIsNamed) {
  const int port = free_port();
  const int socket = ::socket(AF_INET6, SOCK_STREAM, 0);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(static_cast<std::uint16_t>(port));
  if (::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    GTEST_SKIP() << "no IPv6 here";
  }
  ASSERT_EQ(::listen(socket, 1), 0);
  const auto said = join_all({place(0, 2, port)}, 2);
  EXPECT_THAT(said[0], HasSubstr("is taken"));
  ::close(socket);
}

TEST(ProcessGroup, AHostThatNobodyKnowsIsNamed) {
  launch::Launch launch = place(1, 2, free_port());
  launch.address = "no-such-host.invalid";
  EXPECT_THAT(join_all({launch}, 2)[0], HasSubstr("'no-such-host.invalid'"));
}

TEST(ProcessGroup, IPv6AloneWillDo) {
  const int probe = ::socket(AF_INET6, SOCK_DGRAM, 0);
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  address.sin6_port = htons(9);
  const bool there = ::connect(probe, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::close(probe);
  if (!there) GTEST_SKIP() << "no IPv6 here";
  const int port = free_port();
  std::vector<launch::Launch> launches{place(0, 2, port), place(1, 2, port)};
  for (auto& one : launches) one.address = "::1";
  for (const auto& one : join_all(launches, 10)) EXPECT_EQ(one, "");
}

}  // namespace
}  // namespace detente::parallel
