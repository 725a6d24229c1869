# SPDX-License-Identifier: Apache-2.0
# detente_count_allocations(target): see allocations.h.
include_guard(GLOBAL)

function(detente_count_allocations target)
  target_sources(${target} PRIVATE "${PROJECT_SOURCE_DIR}/tests/support/allocations.cpp")
  foreach(function malloc calloc realloc aligned_alloc posix_memalign)
    target_link_options(${target} PRIVATE -Wl,--wrap=${function})
  endforeach()
endfunction()
