# SPDX-License-Identifier: Apache-2.0
# cmake -DSOURCE=... -DBINARY=... [-DPREFIX=...] [-DFORBID=regex] [-DREFUSE=regex] [-DOPTIONS=...]
#       -P consume.cmake
# Configures, builds and runs a consumer from an empty folder. FORBID: what must not be among the
# libraries it loads. REFUSE: configuring must fail, with these words.
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
foreach(command "${CMAKE_COMMAND};--build;${BINARY}" "${BINARY}/consumer" "ldd;${BINARY}/consumer")
  execute_process(COMMAND ${command} OUTPUT_VARIABLE output ERROR_VARIABLE output
                  RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "'${command}' failed (${status}):\n${output}")
  endif()
endforeach()
if(FORBID AND output MATCHES "${FORBID}")
  message(FATAL_ERROR "loads what it must not (${FORBID}):\n${output}")
endif()
