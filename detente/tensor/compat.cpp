// SPDX-License-Identifier: Apache-2.0
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <detente/core/error.h>
#include <detente/tensor/compat.h>
#include <torch/version.h>

namespace detente::tensor {
namespace {

// "[function]", as messages begin, whether the brackets are there already or not.
std::string compat_bracketed(const char* where) {
  return *where == '[' ? where : fmt::format("[{}]", where);
}

}  // namespace

std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

std::string engine_version() {
  return fmt::format("{}.{}.{}", TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR, TORCH_VERSION_PATCH);
}

void translate_errors(const char* where, const std::function<void()>& body) {
  try {
    body();
  } catch (const c10::OutOfMemoryError& error) {
    fail(ErrorCode::kUnsupported,
         "{} the device is out of memory: {} Use a smaller batch.",
         compat_bracketed(where),
         first_line(error.what_without_backtrace()));
  } catch (const c10::Error& error) {
    const std::string text = first_line(error.what_without_backtrace());
    // The CPU's allocator has no type of its own for it.
    const bool memory = text.find("DefaultCPUAllocator") != std::string::npos;
    DETENTE_CHECK(!memory,
                  ErrorCode::kUnsupported,
                  "{} there is not enough memory: {} Use a smaller batch.",
                  compat_bracketed(where),
                  text);
    fail(ErrorCode::kInternal, "{} {}", compat_bracketed(where), text);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    if (const auto known = known_error(error, compat_bracketed(where))) throw *known;
    throw;
  }
}

void clear_gradients(const TensorList& parameters) {
  for (const auto& parameter : parameters) parameter.mutable_grad().reset();
}

}  // namespace detente::tensor
