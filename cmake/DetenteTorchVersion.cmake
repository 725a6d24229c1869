# SPDX-License-Identifier: Apache-2.0
# detente_torch_version(out INCLUDE_DIR...): the version that LibTorch's own headers state, or "".
# Its CMake package may carry another number. Installed beside DetenteConfig.cmake, which asks again.
include_guard(GLOBAL)

function(detente_torch_version out)
  set(${out} "" PARENT_SCOPE)
  foreach(dir IN LISTS ARGN)
    foreach(header torch/version.h torch/headeronly/version.h)
      if(EXISTS "${dir}/${header}")
        file(STRINGS "${dir}/${header}" lines REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
        if("${lines}" MATCHES "MAJOR ([0-9]+).*MINOR ([0-9]+).*PATCH ([0-9]+)")
          set(${out} "${CMAKE_MATCH_1}.${CMAKE_MATCH_2}.${CMAKE_MATCH_3}" PARENT_SCOPE)
          return()
        endif()
      endif()
    endforeach()
  endforeach()
endfunction()
