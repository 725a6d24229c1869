# SPDX-License-Identifier: Apache-2.0
# cmake -DSOURCE=... -DBINARY=... [-DPREFIX=...] [-DOPTIONS=...] [-DEXPECT=regex] [-DFORBID=regex]
#       [-DREFUSE=regex] -P consume.cmake
# Configures, builds and runs a consumer from an empty folder. EXPECT: what it must print. FORBID:
# what must not be among the libraries it loads. REFUSE: configuring must fail, with these words.
file(REMOVE_RECURSE "${BINARY}")
if(PREFIX)
  list(APPEND OPTIONS "-DCMAKE_PREFIX_PATH=${PREFIX}")
endif()
execute_process(
  COMMAND "${CMAKE_COMMAND}" -G Ninja -S "${SOURCE}" -B "${BINARY}" -DCMAKE_BUILD_TYPE=Release
          -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER} ${OPTIONS}
  OUTPUT_VARIABLE output ERROR_VARIABLE output RESULT_VARIABLE status)
if(REFUSE)
  string(REGEX REPLACE "[ \n]+" " " output "${output}")
  if(status EQUAL 0 OR NOT output MATCHES "${REFUSE}")
    message(FATAL_ERROR "expected a refusal that says '${REFUSE}', got (${status}):\n${output}")
  endif()
  return()
endif()
if(NOT status EQUAL 0)
  message(FATAL_ERROR "configuring failed:\n${output}")
endif()
function(run out)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE output ERROR_VARIABLE output
                  RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "'${ARGN}' failed (${status}):\n${output}")
  endif()
  set(${out} "${output}" PARENT_SCOPE)
endfunction()
run(built "${CMAKE_COMMAND}" --build "${BINARY}")
run(said "${BINARY}/consumer")
if(NOT said MATCHES "${EXPECT}")
  message(FATAL_ERROR "expected it to print '${EXPECT}', got:\n${said}")
endif()
run(loads ldd "${BINARY}/consumer")
if(FORBID AND loads MATCHES "${FORBID}")
  message(FATAL_ERROR "loads what it must not (${FORBID}):\n${loads}")
endif()
