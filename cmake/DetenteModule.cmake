# SPDX-License-Identifier: Apache-2.0
# detente_add_module(name SOURCES ... HEADERS ... [DEPENDS ...] [PRIVATE ...] [TORCH])
# One library per folder: C++20, warnings, sanitizers, position-independent code, alias
# Detente::<name>. Nothing of this is repeated in the folders.
include_guard(GLOBAL)

add_library(detente_flags INTERFACE)
target_compile_features(detente_flags INTERFACE cxx_std_20)
target_compile_options(detente_flags INTERFACE -Wall -Wextra -Wno-missing-field-initializers
  -Wno-restrict)  # false positives in GCC 12
if(DETENTE_WERROR)
  target_compile_options(detente_flags INTERFACE -Werror)
endif()
if(DETENTE_SANITIZE)
  string(REPLACE ";" "," _detente_sanitizers "${DETENTE_SANITIZE}")
  target_compile_options(detente_flags INTERFACE
    -fsanitize=${_detente_sanitizers} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(detente_flags INTERFACE -fsanitize=${_detente_sanitizers})
endif()

function(detente_add_module name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;HEADERS;DEPENDS;PRIVATE" ${ARGN})
  set(target detente_${name})
  add_library(${target} STATIC ${ARG_SOURCES})
  add_library(Detente::${name} ALIAS ${target})
  target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}"
                                  FILES ${ARG_HEADERS})
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON EXPORT_NAME ${name})
  target_link_libraries(${target} PUBLIC ${ARG_DEPENDS} PRIVATE $<BUILD_INTERFACE:detente_flags>
                                                                ${ARG_PRIVATE})
  if(ARG_TORCH)
    target_link_libraries(${target} PUBLIC detente_torch)
    if(DETENTE_UNITY)
      set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8
                                                 UNITY_BUILD_UNIQUE_ID DETENTE_UNITY_ID)
    endif()
  endif()
endfunction()

# detente_add_tests(folder SOURCES ... LIBS ... [TORCH] [LABELS ...])
# One test executable per folder; every TEST becomes a ctest entry.
function(detente_add_tests folder)
  cmake_parse_arguments(ARG "TORCH" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  set(target ${folder}_test)
  add_executable(${target} ${ARG_SOURCES})
  target_link_libraries(${target} PRIVATE ${ARG_LIBS} detente_flags GTest::gmock GTest::gtest_main)
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_compile_definitions(${target} PRIVATE
    DETENTE_SOURCE_DIR="${PROJECT_SOURCE_DIR}" DETENTE_BINARY_DIR="${PROJECT_BINARY_DIR}")
  if(NOT ARG_LABELS)
    set(ARG_LABELS $<IF:$<BOOL:${ARG_TORCH}>,torch,fast>)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  if(ARG_TORCH AND DETENTE_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
  endif()
  include(GoogleTest)
  gtest_discover_tests(${target} DISCOVERY_TIMEOUT 120
    PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
endfunction()
