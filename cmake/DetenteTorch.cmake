# SPDX-License-Identifier: Apache-2.0
# Finds LibTorch and wraps it in the interface target detente_torch. The first of these that exists:
#   1. what the user names: DETENTE_TORCH_ROOT (a folder, or "system"), Torch_DIR, Torch_ROOT, or
#      a LibTorch on CMAKE_PREFIX_PATH; or a target `torch` of the project around this one;
#   2. the PyTorch that `python3` imports, if it is new enough;
#   3. the project's own virtual environment, build/venv (made by `make`, see scripts/setup.sh);
#   4. the system's package, if it is new enough.
# Sets DETENTE_TORCH_VERSION, DETENTE_TORCH_PREFIX and DETENTE_TORCH_ORIGIN (who chose it).
# docs/engines.md explains what is checked here and why.
include_guard(GLOBAL)
include(DetenteLibTorch)
include(DetenteOpenMp)

# 2.7 is the first whose wheels have the present C++ ABI. scripts/setup.sh knows it, too.
set(DETENTE_TORCH_OLDEST 2.7)
set(DETENTE_TORCH_ROOT "" CACHE STRING
    "LibTorch to use: a folder, or \"system\"; empty: search (docs/engines.md)")

set(_detente_torch_choices
  "  make build               installs the pinned PyTorch wheel into build/venv\n"
  "  -DDETENTE_TORCH_ROOT=.../site-packages/torch   names one (2.7 or later), as does make ... TORCH=...\n"
  "  -DDETENTE_TORCH=OFF      builds the parts that need none")

# The user's choice by CMake's ordinary means, or "".
function(_detente_torch_named out)
  set(${out} "" PARENT_SCOPE)
  string(REPLACE ":" ";" env_prefixes "$ENV{CMAKE_PREFIX_PATH}")
  foreach(dir IN ITEMS ${Torch_DIR} ${Torch_ROOT} $ENV{Torch_ROOT} ${CMAKE_PREFIX_PATH} ${env_prefixes})
    if(dir)
      detente_torch_root("${dir}" root)
      if(root)
        set(${out} "${root}" PARENT_SCOPE)
        return()
      endif()
    endif()
  endforeach()
endfunction()

# The root of the torch package that `python` imports, or "". Nothing is imported: that takes seconds.
function(_detente_torch_of_python python out)
  set(${out} "" PARENT_SCOPE)
  execute_process(
    COMMAND "${python}" -c
            "import importlib.util as u; s = u.find_spec('torch'); print(s.origin if s else '')"
    WORKING_DIRECTORY "/"
    OUTPUT_VARIABLE origin ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status)
  if(status EQUAL 0 AND origin)
    get_filename_component(dir "${origin}" DIRECTORY)
    detente_torch_root("${dir}" root)
    set(${out} "${root}" PARENT_SCOPE)
  endif()
endfunction()

# Takes `root` into _torch_root of the caller, if nothing is there yet and it is new enough.
macro(_detente_torch_candidate root origin)
  if(NOT _torch_root AND NOT "${root}" STREQUAL "")
    detente_torch_version_in("${root}" _version)
    if(_version AND _version VERSION_LESS DETENTE_TORCH_OLDEST)
      message(STATUS "Passing over LibTorch ${_version} in ${root} (${origin}): "
                     "${DETENTE_TORCH_OLDEST} or later is needed")
    else()
      set(_torch_root "${root}")
      set(_torch_origin "${origin}")
    endif()
  endif()
endmacro()

# Decides; sets _torch_root and _torch_origin in the caller.
macro(_detente_choose_torch)
  set(_torch_root "")
  if(DETENTE_TORCH_ROOT STREQUAL "system")
    detente_torch_root("/usr" _torch_root)
    set(_torch_origin "the system's package (DETENTE_TORCH_ROOT=system)")
    if(NOT _torch_root)
      message(FATAL_ERROR "DETENTE_TORCH_ROOT=system, but there is no LibTorch in /usr. Choose one:\n"
                          ${_detente_torch_choices})
    endif()
  elseif(DETENTE_TORCH_ROOT)
    get_filename_component(_dir "${DETENTE_TORCH_ROOT}" ABSOLUTE BASE_DIR "${CMAKE_SOURCE_DIR}")
    detente_torch_root("${_dir}" _torch_root)
    set(_torch_origin "named by DETENTE_TORCH_ROOT")
    if(NOT _torch_root)
      message(FATAL_ERROR "DETENTE_TORCH_ROOT=${DETENTE_TORCH_ROOT} holds no LibTorch: expected "
        "lib/libtorch.so in it, and include/.\nFor a Python package it is the folder "
        ".../site-packages/torch; for the system's, write DETENTE_TORCH_ROOT=system.")
    endif()
  else()
    _detente_torch_named(_torch_root)
    set(_torch_origin "named by CMAKE_PREFIX_PATH or Torch_DIR")
    if(NOT _torch_root)
      _detente_torch_of_python(python3 _root)
      _detente_torch_candidate("${_root}" "the PyTorch that python3 imports")
    endif()
    set(_venv "${PROJECT_SOURCE_DIR}/build/venv/bin/python")
    if(NOT _torch_root AND EXISTS "${_venv}")
      _detente_torch_of_python("${_venv}" _root)
      _detente_torch_candidate("${_root}" "the virtual environment build/venv")
    endif()
    if(NOT _torch_root)
      detente_torch_root("/usr" _root)
      _detente_torch_candidate("${_root}" "the system's package")
    endif()
    if(NOT _torch_root)
      message(FATAL_ERROR "No LibTorch found. Choose one:\n" ${_detente_torch_choices})
    endif()
  endif()
endmacro()

# LibTorch from the project around this one: Detente::libtorch is its target.
macro(_detente_take_torch_target)
  set(DETENTE_TORCH_ORIGIN "the project around this one")
  detente_adopt_torch_target(DETENTE_TORCH_PREFIX DETENTE_TORCH_VERSION _fault)
  if(_fault)
    message(FATAL_ERROR "The project around Detente has a target `torch`. ${_fault}")
  endif()
endmacro()

if(TARGET torch)
  _detente_take_torch_target()
else()
  _detente_choose_torch()
  set(DETENTE_TORCH_ORIGIN "${_torch_origin}")
  set(DETENTE_TORCH_PREFIX "${_torch_root}")
  detente_torch_version_in("${_torch_root}" DETENTE_TORCH_VERSION)
endif()

# Before the faults, since what is too old has others, too.
if(DETENTE_TORCH_VERSION AND DETENTE_TORCH_VERSION VERSION_LESS DETENTE_TORCH_OLDEST)
  message(FATAL_ERROR "LibTorch ${DETENTE_TORCH_VERSION} in ${DETENTE_TORCH_PREFIX} "
    "(${DETENTE_TORCH_ORIGIN}) is too old: Detente needs ${DETENTE_TORCH_OLDEST} or later. Choose one:\n"
    ${_detente_torch_choices})
endif()
if(NOT TARGET Detente::libtorch)
  detente_torch_fault("${_torch_root}" _fault)
  if(_fault)
    message(FATAL_ERROR "${_fault}\nIt is ${DETENTE_TORCH_ORIGIN}. Reinstall it, or choose another:\n"
                        ${_detente_torch_choices})
  endif()
  detente_import_libtorch("${_torch_root}")
endif()

# A system's LibTorch multiplies matrices with whatever libblas.so.3 is; the reference one is 18 times
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
target_link_libraries(detente_torch INTERFACE Detente::libtorch Detente::openmp)
# The wheel carries headers of another fmt, which come first on the include path and whose library
# is not there to link; header-only, whichever fmt is found is whole.
target_compile_definitions(detente_torch INTERFACE FMT_HEADER_ONLY=1)
