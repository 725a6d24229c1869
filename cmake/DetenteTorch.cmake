# SPDX-License-Identifier: Apache-2.0
# Finds LibTorch and wraps it in the interface target detente_torch.
include_guard(GLOBAL)
find_package(Torch REQUIRED)
add_library(detente_torch INTERFACE)
add_library(Detente::torch_engine ALIAS detente_torch)
target_link_libraries(detente_torch INTERFACE torch)
