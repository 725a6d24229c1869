# SPDX-License-Identifier: Apache-2.0
# A LibTorch of another version, as far as DetenteConfig.cmake looks.
set(TORCH_INSTALL_PREFIX "${CMAKE_CURRENT_LIST_DIR}")
set(TORCH_INCLUDE_DIRS "${CMAKE_CURRENT_LIST_DIR}/include")
add_library(torch INTERFACE IMPORTED)
