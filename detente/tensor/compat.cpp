// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <detente/core/error.h>
#include <detente/tensor/compat.h>
#include <torch/version.h>

#include <string_view>

namespace detente::tensor {
namespace {

std::string compat_first_line(const char* text) {
  const std::string_view all = text;
  return std::string(all.substr(0, all.find('\n')));
}

}  // namespace

std::string engine_version() {
  return fmt::format("{}.{}.{}", TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR, TORCH_VERSION_PATCH);
}

void translate_errors(const char* where, const std::function<void()>& body) {
  try {
    body();
  } catch (const c10::OutOfMemoryError& error) {
    fail(ErrorCode::kUnsupported,
         "[{}] the device is out of memory: {} Use a smaller batch.",
         where,
         compat_first_line(error.what_without_backtrace()));
  } catch (const c10::Error& error) {
    fail(ErrorCode::kInternal, "[{}] {}", where, compat_first_line(error.what_without_backtrace()));
  }
}

void clear_gradients(const TensorList& parameters) {
  for (const auto& parameter : parameters) parameter.mutable_grad().reset();
}

}  // namespace detente::tensor
