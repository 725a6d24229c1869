// SPDX-License-Identifier: Apache-2.0
// The time of every loop of our own, on every instruction set of this machine, beside what LibTorch
// has for the same.
#pragma once

#include <detente/core/fields.h>
#include <detente/core/json.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace detente::measure {

struct KernelBenchmarkOptions {
  std::vector<std::string> kernels;  // see kernel_names(); empty: all
  std::int64_t threads = 1;
  double seconds = 20;  // for all rows together, about

  void describe(FieldVisitor& visitor);
};

// "gram", "inner_products", "weighted_sum", "narrow_product", "relu_rows", "adamw".
const std::vector<std::string>& kernel_names();

// One loop, one shape, one target. Times are medians of calls in turn with the other targets' and
// LibTorch's.
struct KernelTime {
  std::string kernel;
  std::string shape;   // "[10, 336800] float32"
  std::string target;  // see simd/target.h
  double ms = 0;
  double gflops = 0;       // of the operations that are needed, 1e9 a second
  double gbs = 0;          // 1e9 bytes a second, each number read and written once
  double ms_libtorch = 0;  // LibTorch's own routine; with the instructions it chose for itself

  Json to_json() const;
};

// `progress` is told the number of shapes done and to do. Sets LibTorch's threads and the target
// for the call. Throws kInvalidArgument for unknown kernels.
std::vector<KernelTime> measure_kernels(
    const KernelBenchmarkOptions& options,
    const std::function<void(std::int64_t, std::int64_t)>& progress);

}  // namespace detente::measure
