# SPDX-License-Identifier: Apache-2.0
# Finds LibTorch and wraps it in the interface target detente_torch. The first of these that exists:
#   1. what the user names: DETENTE_TORCH_ROOT (a folder, or "system"), Torch_DIR, Torch_ROOT, or
#      a LibTorch on CMAKE_PREFIX_PATH; or a target `torch` of the project around this one;
#   2. the PyTorch that `python3` imports;
#   3. the project's own virtual environment, build/venv (made by `make`, see scripts/setup.sh);
#   4. the system's package (Debian: libtorch-dev).
# Sets DETENTE_TORCH_VERSION, DETENTE_TORCH_PREFIX and DETENTE_TORCH_ORIGIN (who chose it).
# docs/engines.md explains what is checked here and why.
include_guard(GLOBAL)
include(DetenteTorchVersion)
include(DetenteOpenMp)

# 2.7 is the first whose wheels have the present C++ ABI. scripts/setup.sh knows it, too.
set(DETENTE_TORCH_OLDEST 2.7)
set(DETENTE_TORCH_ROOT "" CACHE STRING
    "LibTorch to use: a folder, or \"system\"; empty: search (docs/engines.md)")

# The folder with TorchConfig.cmake below `root`, or "".
function(_detente_torch_config_dir root out)
  set(${out} "" PARENT_SCOPE)
  foreach(tail share/cmake/Torch lib/${CMAKE_LIBRARY_ARCHITECTURE}/cmake/Torch lib/cmake/Torch
               torch/share/cmake/Torch Torch .)
    if(EXISTS "${root}/${tail}/TorchConfig.cmake")
      get_filename_component(dir "${root}/${tail}" REALPATH)
      set(${out} "${dir}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

# The user's choice by CMake's ordinary means, or "". A Torch_DIR left by our own earlier search is
# none (_DETENTE_TORCH_DIR remembers it).
function(_detente_torch_named out)
  set(${out} "" PARENT_SCOPE)
  if(Torch_DIR AND NOT Torch_DIR STREQUAL _DETENTE_TORCH_DIR)
    set(${out} "${Torch_DIR}" PARENT_SCOPE)
    return()
  endif()
  string(REPLACE ":" ";" env_prefixes "$ENV{CMAKE_PREFIX_PATH}")
  set(roots ${Torch_ROOT} ${CMAKE_PREFIX_PATH} $ENV{Torch_ROOT} ${env_prefixes})
  foreach(root IN LISTS roots)
    if(root)
      _detente_torch_config_dir("${root}" dir)
      if(dir)
        set(${out} "${dir}" PARENT_SCOPE)
        return()
      endif()
    endif()
  endforeach()
endfunction()

# The root of the torch package that `python` imports, or "". Nothing is imported: that takes seconds.
function(_detente_torch_of_python python out)
  execute_process(
    COMMAND "${python}" -c
            "import importlib.util as u; s = u.find_spec('torch'); print(s.origin if s else '')"
    WORKING_DIRECTORY "/"
    OUTPUT_VARIABLE origin ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status)
  get_filename_component(root "${origin}" DIRECTORY)
  if(status EQUAL 0 AND EXISTS "${root}/share/cmake/Torch/TorchConfig.cmake")
    set(${out} "${root}" PARENT_SCOPE)
  else()
    set(${out} "" PARENT_SCOPE)
  endif()
endfunction()

# Decides; sets _torch_dir and _torch_origin in the caller.
macro(_detente_choose_torch)
  set(_torch_dir "")
  if(DETENTE_TORCH_ROOT STREQUAL "system")
    _detente_torch_config_dir("/usr" _torch_dir)
    set(_torch_origin "the system's package (DETENTE_TORCH_ROOT=system)")
    if(NOT _torch_dir)
      message(FATAL_ERROR "DETENTE_TORCH_ROOT=system, but there is no LibTorch in /usr.\n"
        "Install it: apt-get install libtorch-dev libopenblas0-openmp")
    endif()
  elseif(DETENTE_TORCH_ROOT)
    get_filename_component(_torch_root "${DETENTE_TORCH_ROOT}" ABSOLUTE BASE_DIR
                           "${CMAKE_SOURCE_DIR}")
    _detente_torch_config_dir("${_torch_root}" _torch_dir)
    set(_torch_origin "named by DETENTE_TORCH_ROOT")
    if(NOT _torch_dir)
      message(FATAL_ERROR "DETENTE_TORCH_ROOT=${DETENTE_TORCH_ROOT} holds no LibTorch: expected "
        "share/cmake/Torch/TorchConfig.cmake below it.\nFor a Python package it is the folder "
        ".../site-packages/torch; for the system's, write DETENTE_TORCH_ROOT=system.")
    endif()
  else()
    _detente_torch_named(_torch_dir)
    set(_torch_origin "named by CMAKE_PREFIX_PATH or Torch_DIR")
    if(NOT _torch_dir)
      _detente_torch_of_python(python3 _torch_root)
      set(_torch_origin "the PyTorch that python3 imports")
      if(NOT _torch_root)
        set(_torch_venv "${PROJECT_SOURCE_DIR}/build/venv/bin/python")
        if(EXISTS "${_torch_venv}")
          _detente_torch_of_python("${_torch_venv}" _torch_root)
          set(_torch_origin "the virtual environment build/venv")
        endif()
      endif()
      if(NOT _torch_root)
        set(_torch_root "/usr")
        set(_torch_origin "the system's package")
      endif()
      _detente_torch_config_dir("${_torch_root}" _torch_dir)
      if(NOT _torch_dir)
        message(FATAL_ERROR "No LibTorch found. Choose one:\n"
          "  make build               installs the pinned PyTorch wheel into build/venv\n"
          "  make build TORCH=system  installs and uses the system's libtorch-dev, where it is new enough\n"
          "  -DDETENTE_TORCH_ROOT=.../site-packages/torch   names one\n"
          "  -DDETENTE_TORCH=OFF      builds the parts that need none")
      endif()
    endif()
  endif()
endmacro()

# The folders from which a target's library and TorchConfig's own find_library results come.
function(_detente_torch_library_dirs out)
  set(files ${TORCH_LIBRARY} ${c10_LIBRARY} ${C10_LIBRARY})
  foreach(target torch torch_cpu c10)
    if(TARGET ${target})
      foreach(property IMPORTED_LOCATION IMPORTED_LOCATION_RELEASE IMPORTED_LOCATION_RELWITHDEBINFO
                       IMPORTED_LOCATION_DEBUG IMPORTED_LOCATION_NOCONFIG)
        get_target_property(file ${target} ${property})
        if(file)
          list(APPEND files "${file}")
        endif()
      endforeach()
    endif()
  endforeach()
  set(dirs "")
  foreach(file IN LISTS files)
    get_filename_component(file "${file}" REALPATH)
    get_filename_component(dir "${file}" DIRECTORY)
    list(APPEND dirs "${dir}")
  endforeach()
  list(REMOVE_DUPLICATES dirs)
  set(${out} "${dirs}" PARENT_SCOPE)
endfunction()

if(TARGET torch)
  set(DETENTE_TORCH_ORIGIN "the project around this one")
else()
  _detente_choose_torch()
  set(DETENTE_TORCH_ORIGIN "${_torch_origin}")
  if(NOT _torch_dir STREQUAL _DETENTE_TORCH_DIR)
    # Another engine than last time: nothing that was found inside the old one may stay.
    unset(TORCH_LIBRARY CACHE)
    unset(c10_LIBRARY CACHE)
    unset(kineto_LIBRARY CACHE)
  endif()
  set(_DETENTE_TORCH_DIR "${_torch_dir}" CACHE INTERNAL "The LibTorch package found last")
  set(Torch_DIR "${_torch_dir}" CACHE PATH "Folder of TorchConfig.cmake" FORCE)

  # TorchConfig.cmake looks for its own libtorch.so with find_library, which asks the system's
  # folders before the package's own unless the package's root is a prefix.
  string(REGEX REPLACE "/(share|lib(/[^/]+)?)/cmake/Torch$" "" _torch_prefix "${_torch_dir}")
  list(PREPEND CMAKE_PREFIX_PATH "${_torch_prefix}")
  set(_level "${CMAKE_MESSAGE_LOG_LEVEL}")
  set(CMAKE_MESSAGE_LOG_LEVEL ERROR)  # the wheel's package warns of a library it does not ship
  find_package(Torch REQUIRED)
  set(CMAKE_MESSAGE_LOG_LEVEL "${_level}")
  list(REMOVE_AT CMAKE_PREFIX_PATH 0)
endif()

get_filename_component(DETENTE_TORCH_PREFIX "${TORCH_INSTALL_PREFIX}" REALPATH)

detente_torch_version(DETENTE_TORCH_VERSION ${TORCH_INCLUDE_DIRS})
if(NOT DETENTE_TORCH_VERSION)
  message(FATAL_ERROR "LibTorch in ${DETENTE_TORCH_PREFIX} has no torch/version.h: its headers are "
    "missing. Reinstall it, or name another one with -DDETENTE_TORCH_ROOT=...")
endif()

_detente_torch_library_dirs(_dirs)
list(LENGTH _dirs _count)
string(REGEX MATCH "^[0-9]+\\.[0-9]+" _minor "${DETENTE_TORCH_VERSION}")
string(REGEX MATCH "^[0-9]+\\.[0-9]+" _package_minor "${Torch_VERSION}")
if(_count GREATER 1 OR (_package_minor AND NOT _package_minor STREQUAL _minor))
  string(REPLACE ";" "\n    " _dirs "${_dirs}")
  message(FATAL_ERROR "Two LibTorchs are mixed: the program would link and then abort before main.\n"
    "  package  ${Torch_DIR} (version ${Torch_VERSION})\n"
    "  headers  version ${DETENTE_TORCH_VERSION}\n"
    "  libraries from\n    ${_dirs}\n"
    "Put the root of the one you want first: -DDETENTE_TORCH_ROOT=${DETENTE_TORCH_PREFIX} (or "
    "\"system\"), and start with an empty build folder.")
endif()
if(DETENTE_TORCH_VERSION VERSION_LESS DETENTE_TORCH_OLDEST)
  message(FATAL_ERROR "LibTorch ${DETENTE_TORCH_VERSION} in ${DETENTE_TORCH_PREFIX} "
    "(${DETENTE_TORCH_ORIGIN}) is too old: Detente builds on ${DETENTE_TORCH_OLDEST} and later. "
    "`make build` without TORCH=... installs one into build/venv; "
    "-DDETENTE_TORCH_ROOT=.../site-packages/torch names another.")
endif()
if("${TORCH_CXX_FLAGS}" MATCHES "_GLIBCXX_USE_CXX11_ABI=0")
  message(FATAL_ERROR "LibTorch ${DETENTE_TORCH_VERSION} in ${DETENTE_TORCH_PREFIX} was built with "
    "the C++ ABI of before GCC 5, which cannot be linked with the system's fmt and yaml-cpp. Use a "
    "build with the present ABI, as every wheel of PyTorch 2.7 and later is.")
endif()

# Debian's LibTorch multiplies matrices with whatever libblas.so.3 is; the reference one is 18 times
# slower than OpenBLAS.
if(DETENTE_TORCH_PREFIX STREQUAL "/usr")
  get_filename_component(_blas "/usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/libblas.so.3" REALPATH)
  if(_blas MATCHES "/blas/libblas\\.so")
    message(WARNING "LibTorch will use the reference BLAS (${_blas}), about 18 times slower than "
      "OpenBLAS. Install it, nothing needs to be rebuilt: apt-get install libopenblas0-openmp")
  endif()
endif()

message(STATUS "LibTorch ${DETENTE_TORCH_VERSION} in ${DETENTE_TORCH_PREFIX}: "
               "${DETENTE_TORCH_ORIGIN}")

add_library(detente_torch INTERFACE)
add_library(Detente::torch_engine ALIAS detente_torch)
set_target_properties(detente_torch PROPERTIES EXPORT_NAME torch_engine)
# OpenMP's flags; the runtime is LibTorch's.
find_package(OpenMP QUIET COMPONENTS CXX)
if(NOT OpenMP_CXX_FOUND)
  message(STATUS "No OpenMP for this compiler: loops of our own will run on one thread")
endif()
detente_add_openmp("${DETENTE_TORCH_PREFIX}")
target_link_libraries(detente_torch INTERFACE torch Detente::openmp)
# The wheel carries headers of another fmt, which come first on the include path and whose library
# is not there to link; header-only, whichever fmt is found is whole.
target_compile_definitions(detente_torch INTERFACE FMT_HEADER_ONLY=1)
