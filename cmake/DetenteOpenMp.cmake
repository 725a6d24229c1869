# SPDX-License-Identifier: Apache-2.0
# The OpenMP runtime as the imported target Detente::openmp: the one that LibTorch in `torch_prefix`
# ships, because a second one in the process has threads of its own; else the compiler's. Without
# one the target links nothing and Detente's own loops run on one thread.
include_guard(GLOBAL)

function(detente_add_openmp torch_prefix)
  if(TARGET Detente::openmp)
    return()
  endif()
  add_library(Detente::openmp INTERFACE IMPORTED GLOBAL)
  file(GLOB library "${torch_prefix}/lib/libgomp*.so*")
  if(NOT library)
    find_package(OpenMP QUIET COMPONENTS CXX)
    set(library ${OpenMP_CXX_LIBRARIES})
  endif()
  target_link_libraries(Detente::openmp INTERFACE ${library})
endfunction()
