# SPDX-License-Identifier: Apache-2.0
# Installs the library as the CMake package `Detente`. Each module is a component with an export set
# of its own, so that `find_package(Detente COMPONENTS balance)` asks only for what `balance` needs;
# what it needs is read off the targets that detente_add_module linked it with.
include_guard(GLOBAL)
include(CMakePackageConfigHelpers)

set(_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/Detente")

# How a consumer finds what an outside target comes from, e.g. "find_dependency(fmt)"; "" for none.
function(_detente_finder target out)
  if(target MATCHES "^PkgConfig::(.+)$")
    # pkg_check_modules keeps the name of the .pc file in the cache.
    set(prefix "${CMAKE_MATCH_1}")
    set(module "${${prefix}_MODULE_NAME}")
    set(${out} "_detente_pkg_config(${prefix} ${module})" PARENT_SCOPE)
    return()
  endif()
  set(known
    "^fmt::=find_dependency(fmt)"
    "^hwy::=find_dependency(hwy)"
    "^nlohmann_json::=find_dependency(nlohmann_json)"
    "^ZLIB::=find_dependency(ZLIB)"
    "^JPEG::=find_dependency(JPEG)"
    "^PNG::=find_dependency(PNG)"
    "^Eigen3::=find_dependency(Eigen3 NO_MODULE)"
    "^yaml-cpp=find_dependency(yaml-cpp)"
    "^CLI11::=find_dependency(CLI11)"
    "^spdlog::=find_dependency(spdlog)"
    "^Threads::=find_dependency(Threads)"
    "^(dl|m|rt)$=")
  foreach(row IN LISTS known)
    string(FIND "${row}" "=" at)
    string(SUBSTRING "${row}" 0 ${at} pattern)
    math(EXPR at "${at} + 1")
    string(SUBSTRING "${row}" ${at} -1 command)
    if(target MATCHES "${pattern}")
      set(${out} "${command}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  message(FATAL_ERROR "cmake/DetentePackage.cmake does not know how a consumer finds '${target}'; "
    "add a row to its table.")
endfunction()

function(detente_install_package)
  get_property(modules GLOBAL PROPERTY DETENTE_MODULES)
  set(DETENTE_PACKAGE_MODULES "")
  set(DETENTE_PACKAGE_TABLE "")
  foreach(module IN LISTS modules)
    get_property(links GLOBAL PROPERTY DETENTE_LINKS_${module})
    set(needs "")
    set(finders "")
    foreach(link IN LISTS links)
      if(link STREQUAL "detente_torch")
        string(APPEND DETENTE_PACKAGE_TABLE "set(_detente_torch_${module} ON)\n")
      elseif(link MATCHES "^(detente_|Detente::)(.+)$")
        list(APPEND needs "${CMAKE_MATCH_2}")
      else()
        _detente_finder("${link}" finder)
        list(APPEND finders "${finder}")
      endif()
    endforeach()
    list(REMOVE_DUPLICATES finders)
    string(APPEND DETENTE_PACKAGE_TABLE "set(_detente_needs_${module} ${needs})\n"
                                        "macro(_detente_find_${module})\n")
    foreach(finder IN LISTS finders)
      string(APPEND DETENTE_PACKAGE_TABLE "  ${finder}\n")
    endforeach()
    string(APPEND DETENTE_PACKAGE_TABLE "endmacro()\n")
    list(APPEND DETENTE_PACKAGE_MODULES ${module})

    install(TARGETS detente_${module} EXPORT Detente_${module}
            ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
            FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
    install(EXPORT Detente_${module} NAMESPACE Detente:: FILE Detente_${module}.cmake
            DESTINATION "${_package_dir}")
  endforeach()
  if(DETENTE_TORCH)
    install(TARGETS detente_torch EXPORT Detente_torch)
    install(EXPORT Detente_torch NAMESPACE Detente:: FILE Detente_torch.cmake
            DESTINATION "${_package_dir}")
  endif()

  configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/DetenteConfig.cmake.in"
    "${PROJECT_BINARY_DIR}/package/DetenteConfig.cmake" INSTALL_DESTINATION "${_package_dir}")
  write_basic_package_version_file("${PROJECT_BINARY_DIR}/package/DetenteConfigVersion.cmake"
    COMPATIBILITY SameMinorVersion)
  install(FILES "${PROJECT_BINARY_DIR}/package/DetenteConfig.cmake"
                "${PROJECT_BINARY_DIR}/package/DetenteConfigVersion.cmake"
                "${PROJECT_SOURCE_DIR}/cmake/DetenteOpenMp.cmake"
                "${PROJECT_SOURCE_DIR}/cmake/DetenteLibTorch.cmake"
          DESTINATION "${_package_dir}")
endfunction()
