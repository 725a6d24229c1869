# SPDX-License-Identifier: Apache-2.0
# cmake -DPROGRAM=... [-DALLOW=folder] -P runpath.cmake
# The program looks for libraries where the system does and in ALLOW: nowhere else, and above all not
# in the folder it is started from (an empty or a relative element).
execute_process(COMMAND readelf --dynamic --wide "${PROGRAM}"
  OUTPUT_VARIABLE output ERROR_VARIABLE error RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "readelf failed (${status}): ${error}")
endif()
string(REGEX MATCHALL "\\((RPATH|RUNPATH)\\)[^\n]*" lines "${output}")
foreach(line IN LISTS lines)
  string(REGEX REPLACE ".*: [[](.*)[]]$" "\\1" path "${line}")
  if(NOT path STREQUAL ALLOW)
    message(FATAL_ERROR "'${PROGRAM}' looks for libraries in '${path}'; expected '${ALLOW}' alone.")
  endif()
endforeach()
if(ALLOW AND NOT lines)
  message(FATAL_ERROR "'${PROGRAM}' does not say that its libraries are in '${ALLOW}'.")
endif()
