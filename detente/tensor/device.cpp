// SPDX-License-Identifier: Apache-2.0
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <detente/core/error.h>
#include <detente/core/suggest.h>
#include <detente/core/whole_number.h>
#include <detente/tensor/device.h>

#include <algorithm>
#include <array>
#include <future>
#include <iterator>
#include <system_error>
#include <thread>
#include <vector>

namespace detente::tensor {

const char* name_of(DType dtype) { return dtype == DType::kFloat32 ? "float32" : "float64"; }

DType parse_dtype(std::string_view text) {
  if (text == "float32") return DType::kFloat32;
  if (text == "float64") return DType::kFloat64;
  const std::array<std::string, 2> allowed = {"float32", "float64"};
  fail(ErrorCode::kInvalidArgument,
       "[tensor::parse_dtype] the precision must be one of: float32, float64; got '{}'.{}",
       text,
       did_you_mean(text, allowed));
}

DType dtype_of(const at::Tensor& tensor) {
  if (tensor.scalar_type() == at::kFloat) return DType::kFloat32;
  DETENTE_CHECK(tensor.scalar_type() == at::kDouble,
                ErrorCode::kUnsupported,
                "[tensor::dtype_of] expected float32 or float64, got {}.",
                at::toString(tensor.scalar_type()));
  return DType::kFloat64;
}

std::string Device::text() const { return cuda ? "cuda:" + std::to_string(index) : "cpu"; }

bool cuda_available() { return cuda_devices() > 0; }

int cuda_devices() {
  if (!at::globalContext().hasCUDA()) return 0;
  return static_cast<int>(at::detail::getCUDAHooks().getNumGPUs());
}

Device parse_device(std::string_view text) {
  if (text == "cpu") return {};
  if (text == "auto") return {.cuda = cuda_available(), .index = 0};
  const bool named = text == "cuda" || text.starts_with("cuda:");
  int index = 0;
  bool valid = named;
  if (named && text.size() > 4) {
    index = whole_number<int>(text.substr(5)).value_or(-1);
    valid = index >= 0;
  }
  if (!valid) {
    const std::array<std::string, 3> allowed = {"auto", "cpu", "cuda"};
    fail(ErrorCode::kInvalidArgument,
         "[tensor::parse_device] the device must be auto, cpu, cuda or cuda:N; got '{}'.{}",
         text,
         did_you_mean(text, allowed));
  }
  DETENTE_CHECK(cuda_available(),
                ErrorCode::kUnsupported,
                "[tensor::parse_device] there is no CUDA device here, or this LibTorch was built "
                "without CUDA; got '{}'. Use cpu or auto.",
                text);
  const int count = at::detail::getCUDAHooks().getNumGPUs();
  DETENTE_CHECK(index < count,
                ErrorCode::kUnsupported,
                "[tensor::parse_device] there are {} CUDA devices; got '{}'.",
                count,
                text);
  return {.cuda = true, .index = index};
}

Device Device::of(const at::Tensor& tensor) {
  if (!tensor.is_cuda()) return {};
  return {.cuda = true, .index = tensor.device().index()};
}

c10::TensorOptions tensor_options(Device device, DType dtype) {
  const at::Device place = device.cuda
                               ? at::Device(at::kCUDA, static_cast<at::DeviceIndex>(device.index))
                               : at::Device(at::kCPU);
  return at::TensorOptions().device(place).dtype(dtype == DType::kFloat32 ? at::kFloat
                                                                          : at::kDouble);
}

void synchronize(Device device) {
  if (!device.cuda) return;
  at::detail::getCUDAHooks().deviceSynchronize(static_cast<at::DeviceIndex>(device.index));
}

namespace {

// Whether the system gives this many threads at once, asked by making them.
void demand_threads(int count) {
  std::promise<void> all_made;
  const std::shared_future<void> end = all_made.get_future().share();
  std::vector<std::thread> threads;
  bool refused = false;
  try {
    while (std::ssize(threads) < count) threads.emplace_back([end] { end.wait(); });
  } catch (const std::system_error&) {
    refused = true;
  }
  all_made.set_value();
  for (std::thread& thread : threads) thread.join();
  DETENTE_CHECK(
      !refused,
      ErrorCode::kUnsupported,
      "[tensor::set_threads] the system gives {} more threads, of {} that are needed. Ask "
      "for fewer (threads: 1 in a recipe), or raise the limit (ulimit -u, ulimit -v).",
      threads.size(),
      count);
}

}  // namespace

int set_threads(int n) {
  DETENTE_CHECK(n >= 0,
                ErrorCode::kInvalidArgument,
                "[tensor::set_threads] the number of threads must be >= 0 (0: the engine's own "
                "choice); got {}.",
                n);
  const int threads = n > 0 ? std::min(n, thread_bound()) : at::get_num_threads();
  demand_threads(threads);
  if (n > 0) at::set_num_threads(threads);
  return at::get_num_threads();
}

int thread_bound() {
  constexpr int kLeast = 8;
  return std::max(kLeast, 2 * static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace detente::tensor
