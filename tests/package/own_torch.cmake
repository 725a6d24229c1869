# SPDX-License-Identifier: Apache-2.0
# A project that has a LibTorch target of its own, as find_package(Torch) makes one: headers of
# OWN_TORCH, libraries of OWN_LIBRARIES (default: the same).
if(NOT OWN_LIBRARIES)
  set(OWN_LIBRARIES "${OWN_TORCH}")
endif()
add_library(torch SHARED IMPORTED)
set_target_properties(torch PROPERTIES
  IMPORTED_LOCATION "${OWN_LIBRARIES}/lib/libtorch.so"
  INTERFACE_INCLUDE_DIRECTORIES "${OWN_TORCH}/include;${OWN_TORCH}/include/torch/csrc/api/include"
  INTERFACE_LINK_LIBRARIES "${OWN_LIBRARIES}/lib/libtorch_cpu.so;${OWN_LIBRARIES}/lib/libc10.so")
set(TORCH_INSTALL_PREFIX "${OWN_TORCH}")
