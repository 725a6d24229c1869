// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/tensor/device.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

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

}  // namespace
}  // namespace detente::tensor
