// SPDX-License-Identifier: Apache-2.0
// The device that the tests of this folder compare with the CPU: the first CUDA device, or what
// DETENTE_TEST_DEVICE names ("cpu" checks the tests themselves). Without it they skip in words.
#pragma once

#include <detente/core/error.h>
#include <detente/tensor/device.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdlib>

namespace detente::gpu {

class DeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* named = std::getenv("DETENTE_TEST_DEVICE");
    if (named == nullptr && !tensor::cuda_available()) {
      GTEST_SKIP() << "no CUDA device here, or a LibTorch without CUDA: nothing to compare";
    }
    device = tensor::parse_device(named == nullptr ? "cuda" : named);
    // Products of float32 in float32, so that one tolerance fits every processor.
    at::globalContext().setAllowTF32CuDNN(false);
    at::globalContext().setAllowTF32CuBLAS(false);
    torch::manual_seed(1);
  }

  at::Tensor there(const at::Tensor& here) const {
    return here.to(tensor::tensor_options(device, tensor::DType::kFloat32).device());
  }

  tensor::Device device;
};

}  // namespace detente::gpu
