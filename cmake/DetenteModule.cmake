# SPDX-License-Identifier: Apache-2.0
# detente_add_module(name SOURCES ... HEADERS ... [DEPENDS ...] [PRIVATE ...] [TORCH])
# One library per folder: C++20, warnings, sanitizers, position-independent code, alias
# Detente::<name>. Nothing of this is repeated in the folders.
include_guard(GLOBAL)

add_library(detente_flags INTERFACE)
target_compile_features(detente_flags INTERFACE cxx_std_20)
target_compile_options(detente_flags INTERFACE -Wall -Wextra -Wno-missing-field-initializers
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)  # false positives in GCC 12
if(DETENTE_WERROR)
  target_compile_options(detente_flags INTERFACE -Werror)
endif()
if(DETENTE_SANITIZE)
  string(REPLACE ";" "," _detente_sanitizers "${DETENTE_SANITIZE}")
  target_compile_options(detente_flags INTERFACE
    -fsanitize=${_detente_sanitizers} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  if(DETENTE_NO_SANITIZE)
    string(REPLACE ";" "," _detente_not_sanitized "${DETENTE_NO_SANITIZE}")
    target_compile_options(detente_flags INTERFACE -fno-sanitize=${_detente_not_sanitized})
  endif()
  target_link_options(detente_flags INTERFACE -fsanitize=${_detente_sanitizers})
endif()

# A LibTorch file takes 1 to 2 GB to compile; more of them at once than memory holds makes the
# machine swap.
cmake_host_system_information(RESULT _memory_mib QUERY TOTAL_PHYSICAL_MEMORY)
cmake_host_system_information(RESULT _cores QUERY NUMBER_OF_LOGICAL_CORES)
math(EXPR _torch_jobs "${_memory_mib} / 2048")
if(_torch_jobs GREATER _cores)
  set(_torch_jobs ${_cores})
elseif(_torch_jobs LESS 1)
  set(_torch_jobs 1)
endif()
set_property(GLOBAL APPEND PROPERTY JOB_POOLS detente_torch_compile=${_torch_jobs})

# Headers pass through the compiler once for all files of a batch. CI begins with nothing and compiles all
# in large ones; elsewhere only the folders with LibTorch's headers, which take 11 s, share them, in small
# ones, so that little is compiled again after a change. No name may stand twice in a folder.
set(_detente_batch 8)
if(DEFINED ENV{CI})
  set(_detente_batch 16)
endif()
function(_detente_batches target)
  if(DETENTE_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${_detente_batch}
                                               UNITY_BUILD_UNIQUE_ID DETENTE_UNITY_ID)
    # A class with a member of an anonymous namespace is seen by its own file alone, whose batch is a header
    # to the compiler.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()
function(_detente_compile_in_batches target torch)
  if(torch)
    set_target_properties(${target} PROPERTIES JOB_POOL_COMPILE detente_torch_compile)
    _detente_batches(${target})
  elseif(DEFINED ENV{CI})
    _detente_batches(${target})
  endif()
endfunction()

function(detente_add_module name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;HEADERS;DEPENDS;PRIVATE" ${ARGN})
  set(target detente_${name})
  add_library(${target} STATIC ${ARG_SOURCES})
  add_library(Detente::${name} ALIAS ${target})
  target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}"
                                  FILES ${ARG_HEADERS})
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON EXPORT_NAME ${name})
  target_link_libraries(${target} PUBLIC ${ARG_DEPENDS} PRIVATE $<BUILD_INTERFACE:detente_flags>)
  set(links ${ARG_DEPENDS})
  foreach(library IN LISTS ARG_PRIVATE)
    _detente_is_headers_only(${library} headers_only)
    if(headers_only)  # consumers of the archive have no use for it
      target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:${library}>)
    else()
      target_link_libraries(${target} PRIVATE ${library})
      list(APPEND links ${library})
    endif()
  endforeach()
  if(ARG_TORCH)
    target_link_libraries(${target} PUBLIC detente_torch)
    list(APPEND links detente_torch)
  endif()
  _detente_compile_in_batches(${target} "${ARG_TORCH}")
  # For cmake/DetentePackage.cmake.
  set_property(GLOBAL APPEND PROPERTY DETENTE_MODULES ${name})
  set_property(GLOBAL PROPERTY DETENTE_LINKS_${name} ${links})
endfunction()

function(_detente_is_headers_only library out)
  set(${out} OFF PARENT_SCOPE)
  if(TARGET ${library} AND NOT library MATCHES "^(detente_|Detente::)")
    get_target_property(type ${library} TYPE)
    get_target_property(links ${library} INTERFACE_LINK_LIBRARIES)
    if(type STREQUAL "INTERFACE_LIBRARY" AND NOT links)
      set(${out} ON PARENT_SCOPE)
    endif()
  endif()
endfunction()

# detente_add_tests(folder SOURCES ... LIBS ... [TORCH] [LABELS ...])
# One test executable per folder; every TEST becomes a ctest entry. The tests' own code is not what has to be
# fast: -O1 compiles it in two thirds of the time.
function(detente_add_tests folder)
  cmake_parse_arguments(ARG "TORCH" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  set(target ${folder}_test)
  add_executable(${target} ${ARG_SOURCES})
  target_link_libraries(${target} PRIVATE ${ARG_LIBS} detente_flags GTest::gmock GTest::gtest_main)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
  target_compile_definitions(${target} PRIVATE
    DETENTE_SOURCE_DIR="${PROJECT_SOURCE_DIR}" DETENTE_BINARY_DIR="${PROJECT_BINARY_DIR}")
  if(NOT ARG_LABELS)
    set(ARG_LABELS $<IF:$<BOOL:${ARG_TORCH}>,torch,fast>)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  _detente_compile_in_batches(${target} "${ARG_TORCH}")
  include(GoogleTest)
  gtest_discover_tests(${target} DISCOVERY_TIMEOUT 120
    PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT} ${DETENTE_TEST_ENVIRONMENT})
endfunction()
