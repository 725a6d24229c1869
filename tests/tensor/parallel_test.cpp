// SPDX-License-Identifier: Apache-2.0
#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <detente/tensor/allocation_peak.h>
#include <detente/tensor/parallel.h>
#include <gmock/gmock.h>

#include <atomic>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

namespace detente::tensor {
namespace {

class Parallel : public testing::Test {
 protected:
  Parallel() : before_(at::get_num_threads()) { at::set_num_threads(2); }
  ~Parallel() override { at::set_num_threads(before_); }

 private:
  int before_;
};

TEST_F(Parallel, RunsOnSeveralThreads) {
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::vector<int> seen(1000, 0);
  parallel_for(0, 1000, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) ++seen[static_cast<std::size_t>(i)];
    const std::lock_guard lock(mutex);
    threads.insert(std::this_thread::get_id());
  });
  EXPECT_EQ(threads.size(), 2u) << "is parallel.cpp compiled with OpenMP?";
  EXPECT_THAT(seen, testing::Each(1));
}

TEST_F(Parallel, ShowsTheCallersMemoryCounterWhatAllThreadsAllocate) {
  const AllocationPeak counter;
  std::vector<at::Tensor> made(2);
  parallel_for(0, 2, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      made[static_cast<std::size_t>(i)] = at::empty({1000}, at::kFloat);
    }
  });
  EXPECT_EQ(counter.now(), 8000);
  made.clear();
  EXPECT_EQ(counter.now(), 0);
}

TEST_F(Parallel, KeepsTheGrainAndNestsOnOneThread) {
  std::atomic<int> parts = 0;
  parallel_for(0, 10, 10, [&](std::int64_t first, std::int64_t last) {
    EXPECT_EQ(last - first, 10);
    ++parts;
  });
  EXPECT_EQ(parts, 1);
  parts = 0;
  parallel_for(0, 2, 1, [&](std::int64_t, std::int64_t) {
    parallel_for(0, 100, 1, [&](std::int64_t first, std::int64_t last) {
      if (last - first == 100) ++parts;
    });
  });
  EXPECT_EQ(parts, 2);
  parallel_for(3, 3, 1, [&](std::int64_t, std::int64_t) { ++parts; });
  EXPECT_EQ(parts, 2) << "nothing to do";
}

TEST_F(Parallel, PassesExceptionsOn) {
  EXPECT_THROW(
      parallel_for(0, 2, 1, [](std::int64_t, std::int64_t) { throw std::runtime_error("one"); }),
      std::runtime_error);
}

}  // namespace
}  // namespace detente::tensor
