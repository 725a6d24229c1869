// SPDX-License-Identifier: Apache-2.0
#include <ATen/autocast_mode.h>
#include <detente/core/error.h>
#include <detente/tensor/autocast.h>
#include <torch/version.h>

namespace detente::tensor {
namespace {

namespace mode = at::autocast;

#if TORCH_VERSION_MAJOR >= 2

at::DeviceType autocast_kind(bool cuda) { return cuda ? at::kCUDA : at::kCPU; }
bool autocast_is_on(bool cuda) { return mode::is_autocast_enabled(autocast_kind(cuda)); }
void autocast_switch(bool cuda, bool on) { mode::set_autocast_enabled(autocast_kind(cuda), on); }
at::ScalarType autocast_type(bool cuda) { return mode::get_autocast_dtype(autocast_kind(cuda)); }
void autocast_use(bool cuda, at::ScalarType type) {
  mode::set_autocast_dtype(autocast_kind(cuda), type);
}
constexpr bool kFloat16OnCpu = true;

#else

bool autocast_is_on(bool cuda) { return cuda ? mode::is_enabled() : mode::is_cpu_enabled(); }
void autocast_switch(bool cuda, bool on) {
  if (cuda) {
    mode::set_enabled(on);
  } else {
    mode::set_cpu_enabled(on);
  }
}
at::ScalarType autocast_type(bool cuda) {
  return cuda ? mode::get_autocast_gpu_dtype() : mode::get_autocast_cpu_dtype();
}
void autocast_use(bool cuda, at::ScalarType type) {
  if (cuda) {
    mode::set_autocast_gpu_dtype(type);
  } else {
    mode::set_autocast_cpu_dtype(type);
  }
}
constexpr bool kFloat16OnCpu = false;

#endif

}  // namespace

Autocast::Autocast(Device device, LowPrecision type) : cuda_(device.cuda) {
  DETENTE_CHECK(cuda_ || type == LowPrecision::kBFloat16 || kFloat16OnCpu,
                ErrorCode::kUnsupported,
                "[tensor::Autocast] this LibTorch has no fp16 on the CPU; use bf16 there.");
  was_on_ = autocast_is_on(cuda_);
  type_before_ = static_cast<int>(autocast_type(cuda_));
  mode::increment_nesting();
  autocast_use(cuda_, type == LowPrecision::kBFloat16 ? at::kBFloat16 : at::kHalf);
  autocast_switch(cuda_, true);
}

Autocast::~Autocast() {
  autocast_switch(cuda_, was_on_);
  autocast_use(cuda_, static_cast<at::ScalarType>(type_before_));
  if (mode::decrement_nesting() == 0) mode::clear_cache();
}

}  // namespace detente::tensor
