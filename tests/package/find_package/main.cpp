// SPDX-License-Identifier: Apache-2.0
#include <detente/balance/registry.h>
#include <detente/tensor/device.h>

#include <cstdio>

int main() {
  const auto method = detente::balance::make_method("ew");
  const int threads = detente::tensor::set_threads(1);
  std::printf("%s, %d thread\n", method->name(), threads);
  return threads == 1 ? 0 : 1;
}
