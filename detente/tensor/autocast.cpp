// SPDX-License-Identifier: Apache-2.0
#include <ATen/autocast_mode.h>
#include <detente/tensor/autocast.h>

namespace detente::tensor {

namespace mode = at::autocast;

Autocast::Autocast(Device device, LowPrecision type) : cuda_(device.cuda) {
  const at::DeviceType kind = cuda_ ? at::kCUDA : at::kCPU;
  was_on_ = mode::is_autocast_enabled(kind);
  type_before_ = static_cast<int>(mode::get_autocast_dtype(kind));
  mode::increment_nesting();
  mode::set_autocast_dtype(kind, type == LowPrecision::kBFloat16 ? at::kBFloat16 : at::kHalf);
  mode::set_autocast_enabled(kind, true);
}

Autocast::~Autocast() {
  const at::DeviceType kind = cuda_ ? at::kCUDA : at::kCPU;
  mode::set_autocast_enabled(kind, was_on_);
  mode::set_autocast_dtype(kind, static_cast<at::ScalarType>(type_before_));
  if (mode::decrement_nesting() == 0) mode::clear_cache();
}

}  // namespace detente::tensor
