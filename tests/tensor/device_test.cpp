// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/tensor/device.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <torch/torch.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

namespace detente::tensor {
namespace {

TEST(Device, ReadsItsNames) {
  EXPECT_EQ(parse_device("cpu"), Device{});
  EXPECT_EQ(parse_device("cpu").text(), "cpu");
  EXPECT_EQ(parse_device("auto").cuda, torch::cuda::is_available());
}

TEST(Device, RefusesOtherWordsWithTheNearestOne) {
  for (const char* word : {"gpu", "cudaa", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", ""}) {
    try {
      parse_device(word);
      FAIL() << word;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << word;
    }
  }
  try {
    parse_device("cdua");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("Did you mean 'cuda'?"));
  }
}

TEST(Device, SaysWhenThereIsNoSuchDevice) {
  try {
    parse_device("cuda:99");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  }
}

TEST(Device, OptionsAndTensorsAgree) {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    const auto tensor = torch::zeros({2}, tensor_options({}, dtype));
    EXPECT_EQ(dtype_of(tensor), dtype);
    EXPECT_EQ(Device::of(tensor), Device{});
    EXPECT_EQ(parse_dtype(name_of(dtype)), dtype);
  }
  EXPECT_THROW(dtype_of(torch::zeros({2}, torch::kLong)), Error);
  EXPECT_THROW(parse_dtype("float16"), Error);
}

TEST(Device, SetsThreads) {
  const int before = set_threads(0);
  EXPECT_EQ(set_threads(1), 1);
  EXPECT_EQ(torch::get_num_threads(), 1);
  set_threads(before);
  EXPECT_THROW(set_threads(-1), Error);
}

TEST(SetThreads, StaysNearTheCores) {
  const int before = set_threads(0);
  EXPECT_GE(thread_bound(), 8);
  EXPECT_LE(set_threads(1000000), thread_bound());
  set_threads(before);
}

TEST(SetThreads, SaysWhenTheSystemGivesNoMore) {
  // Threads need address space for their stacks; in a process of its own, for the limit stays and
  // stacks of threads from before would do again.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto starve = [] {
    rlimit limit{};
    getrlimit(RLIMIT_AS, &limit);
    std::ifstream statm("/proc/self/statm");
    rlim_t pages = 0;
    statm >> pages;
    limit.rlim_cur = pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (rlim_t{4} << 20);
    setrlimit(RLIMIT_AS, &limit);
    try {
      set_threads(8);
    } catch (const Error& error) {
      std::fputs(error.what(), stderr);
      _exit(exit_code(error.code()));
    }
    _exit(0);
  };
  EXPECT_EXIT(starve(), ::testing::ExitedWithCode(2), "raise the limit");
}

}  // namespace
}  // namespace detente::tensor
