# SPDX-License-Identifier: Apache-2.0
# What makes a build quick without changing its result; only where Detente is the whole project.
include_guard(GLOBAL)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Kind of build" FORCE)
endif()

if(NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(DETENTE_CCACHE ccache)
  if(DETENTE_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${DETENTE_CCACHE}")
  endif()
endif()

option(DETENTE_MOLD "Link with mold, 2.4 or later, when it is installed" ON)
if(DETENTE_MOLD)
  find_program(DETENTE_MOLD_PROGRAM mold)
  if(DETENTE_MOLD_PROGRAM AND (NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU"
                               OR CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 12.1))
    # Before 2.4 mold may, as the sizes fall out, write programs that do not start ("cannot apply additional
    # memory protection after relocation"), or lay them out for ever.
    execute_process(COMMAND "${DETENTE_MOLD_PROGRAM}" --version OUTPUT_VARIABLE _mold ERROR_QUIET)
    if(_mold MATCHES "mold ([0-9.]+)" AND CMAKE_MATCH_1 VERSION_GREATER_EQUAL 2.4)
      add_link_options(-fuse-ld=mold)
    endif()
  endif()
endif()
