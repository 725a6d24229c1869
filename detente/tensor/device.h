// SPDX-License-Identifier: Apache-2.0
// Where tensors live and in which precision, by the names that recipes use.
#pragma once

#include <detente/tensor/fwd.h>

#include <string>
#include <string_view>

namespace c10 {
struct TensorOptions;
}

namespace detente::tensor {

enum class DType { kFloat32, kFloat64 };
const char* name_of(DType dtype);  // "float32", "float64"
// Throws kInvalidArgument.
DType parse_dtype(std::string_view text);
// Throws kUnsupported for any other type.
DType dtype_of(const at::Tensor& tensor);

struct Device {
  bool cuda = false;
  int index = 0;

  static Device of(const at::Tensor& tensor);
  std::string text() const;  // "cpu", "cuda:0"
  bool operator==(const Device&) const = default;
};

// "auto" (CUDA when there is one), "cpu", "cuda" or "cuda:N". Throws kInvalidArgument for another
// word, kUnsupported when this build or machine has no such device.
Device parse_device(std::string_view text);
bool cuda_available();
int cuda_devices();

// Waits until all that was asked of the device is done; on the CPU it always is.
void synchronize(Device device);

c10::TensorOptions tensor_options(Device device, DType dtype);

// Threads inside one operation; n >= 1, 0 leaves the engine's own choice. Returns the number in
// force: at most thread_bound(). Throws kUnsupported where the system does not give so many threads,
// which OpenMP would end the process over.
int set_threads(int n);

// More threads than this only wait for each other: twice the cores of this process, at least 8.
int thread_bound();

}  // namespace detente::tensor
