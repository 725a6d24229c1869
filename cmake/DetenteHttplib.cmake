# SPDX-License-Identifier: Apache-2.0
# cpp-httplib for the modules that speak HTTP, as the target named by DETENTE_HTTPLIB. Debian's package is a
# library with a .pc file, which says whether it has TLS; elsewhere the header is all there is, without TLS.
find_package(PkgConfig REQUIRED)
pkg_check_modules(httplib IMPORTED_TARGET GLOBAL cpp-httplib)
if(httplib_FOUND)
  set(DETENTE_HTTPLIB PkgConfig::httplib)
else()
  find_path(DETENTE_HTTPLIB_INCLUDE httplib.h)
  if(NOT DETENTE_HTTPLIB_INCLUDE)
    message(FATAL_ERROR "cpp-httplib (Debian: libcpp-httplib-dev) was not found. scripts/setup.sh installs "
      "it; -DDETENTE_SERVE=OFF -DDETENTE_ANNOTATE=OFF builds without `detente serve`, `annotate` and `ask`.")
  endif()
  if(NOT TARGET detente_httplib)
    add_library(detente_httplib INTERFACE)
    target_include_directories(detente_httplib SYSTEM INTERFACE "${DETENTE_HTTPLIB_INCLUDE}")
  endif()
  set(DETENTE_HTTPLIB detente_httplib)
endif()
