# SPDX-License-Identifier: Apache-2.0
# LibTorch as the imported target Detente::libtorch, from the folder it lies in, without its own CMake
# package: that one asks for the whole CUDA toolkit when the build is a CUDA build, of which Detente
# uses nothing, and finds its libraries in other folders than its own. Installed beside
# DetenteConfig.cmake.
include_guard(GLOBAL)

# The root of the LibTorch in or around `dir`, or "": of a Python package, .../site-packages/torch; of
# the plain archive, what it unpacks to; of a system's package, /usr. `dir` may be that, a folder
# above the Python package, or the folder of TorchConfig.cmake.
function(detente_torch_root dir out)
  set(${out} "" PARENT_SCOPE)
  string(REGEX REPLACE "/(share|lib(/[^/]+)?)/cmake/Torch/?$" "" prefix "${dir}")
  foreach(root "${prefix}" "${dir}/torch" "${dir}/libtorch")
    _detente_torch_library("${root}" torch library)
    if(library)
      get_filename_component(root "${root}" REALPATH)
      set(${out} "${root}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

function(_detente_torch_library root name out)
  set(${out} "" PARENT_SCOPE)
  foreach(folder lib lib/${CMAKE_LIBRARY_ARCHITECTURE} lib64)
    foreach(suffix so dylib)
      if(EXISTS "${root}/${folder}/lib${name}.${suffix}")
        set(${out} "${root}/${folder}/lib${name}.${suffix}" PARENT_SCOPE)
        return()
      endif()
    endforeach()
  endforeach()
endfunction()

# The version that LibTorch's own headers state, or "". Its CMake package may carry another number.
function(detente_torch_version out)
  set(${out} "" PARENT_SCOPE)
  foreach(dir IN LISTS ARGN)
    foreach(header torch/version.h torch/headeronly/version.h)
      if(EXISTS "${dir}/${header}")
        file(STRINGS "${dir}/${header}" lines REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
        if("${lines}" MATCHES "MAJOR ([0-9]+).*MINOR ([0-9]+).*PATCH ([0-9]+)")
          set(${out} "${CMAKE_MATCH_1}.${CMAKE_MATCH_2}.${CMAKE_MATCH_3}" PARENT_SCOPE)
          return()
        endif()
      endif()
    endforeach()
  endforeach()
endfunction()

# The version of the LibTorch in `root`, or "" when its headers are missing.
function(detente_torch_version_in root out)
  detente_torch_version(version "${root}/include" "${root}/include/torch/csrc/api/include")
  set(${out} "${version}" PARENT_SCOPE)
endfunction()

# A file below share/cmake (or where a system's package keeps it), as text; "" when there is none.
function(_detente_torch_package_file root name out)
  set(${out} "" PARENT_SCOPE)
  foreach(folder share/cmake lib/${CMAKE_LIBRARY_ARCHITECTURE}/cmake lib/cmake)
    if(EXISTS "${root}/${folder}/${name}")
      file(READ "${root}/${folder}/${name}" text)
      set(${out} "${text}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
endfunction()

# What makes the LibTorch in `root` unfit to link with, in one sentence, or "".
function(detente_torch_fault root out)
  set(${out} "" PARENT_SCOPE)
  detente_torch_version_in("${root}" version)
  if(NOT version)
    set(${out} "LibTorch in ${root} has no torch/version.h: its headers are missing." PARENT_SCOPE)
    return()
  endif()
  # Headers of one installation over the libraries of another.
  _detente_torch_package_file("${root}" Torch/TorchConfigVersion.cmake text)
  string(REGEX MATCH "^[0-9]+\\.[0-9]+" minor "${version}")
  if(text MATCHES "PACKAGE_VERSION \"?([0-9]+\\.[0-9]+)" AND NOT CMAKE_MATCH_1 STREQUAL minor)
    set(${out} "Two LibTorchs are mixed in ${root}: its headers are of version ${version}, its \
package is of version ${CMAKE_MATCH_1}." PARENT_SCOPE)
    return()
  endif()
  set(folders "")
  foreach(name torch torch_cpu c10)
    _detente_torch_library("${root}" ${name} library)
    if(NOT library)
      set(${out} "LibTorch ${version} in ${root} has no lib${name}: it is incomplete." PARENT_SCOPE)
      return()
    endif()
    get_filename_component(folder "${library}" REALPATH)
    get_filename_component(folder "${folder}" DIRECTORY)
    list(APPEND folders "${folder}")
  endforeach()
  list(REMOVE_DUPLICATES folders)
  list(JOIN folders " and " places)
  if(NOT folders STREQUAL places)
    set(${out} "Two LibTorchs are mixed in ${root}: its libraries lie in ${places}." PARENT_SCOPE)
    return()
  endif()
  # The constructor of c10::Error takes a std::string, whose name tells the ABI.
  file(STRINGS "${library}" names REGEX "^_ZN3c105ErrorC2E.*(basic_string|Ss)" LIMIT_COUNT 1)
  if(names AND NOT names MATCHES "__cxx11")
    set(${out} "LibTorch ${version} in ${root} was built with the C++ ABI of before GCC 5, which \
cannot be linked with the system's fmt and yaml-cpp. Use a build with the present ABI, as every wheel \
of PyTorch 2.7 and later is." PARENT_SCOPE)
  endif()
endfunction()

# Makes Detente::libtorch from the LibTorch in `root`.
function(detente_import_libtorch root)
  if(TARGET Detente::libtorch)
    return()
  endif()
  # As its own package has them: they decide what its headers declare (c10d, for one).
  _detente_torch_package_file("${root}" Caffe2/Caffe2Targets.cmake text)
  set(definitions USE_DISTRIBUTED USE_C10D_GLOO)
  string(CONCAT pattern "set_target_properties\\(torch_cpu PROPERTIES[^)]*"
                        "INTERFACE_COMPILE_DEFINITIONS \"([^\"]*)\"")
  if(text MATCHES "${pattern}")
    set(definitions "${CMAKE_MATCH_1}")
  endif()
  add_library(Detente::libtorch INTERFACE IMPORTED GLOBAL)
  set_target_properties(Detente::libtorch PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${root}/include;${root}/include/torch/csrc/api/include"
    INTERFACE_COMPILE_DEFINITIONS "${definitions}")
  # libtorch.so is empty but loads libtorch_cpu and, in a CUDA build, libtorch_cuda with what that
  # loads, which nothing else refers to by name; so the linker must not drop it as unneeded. What
  # they load in turn (nvidia/*) they find by their own run-time paths.
  _detente_torch_library("${root}" torch torch)
  target_link_libraries(Detente::libtorch INTERFACE
    "-Wl,--push-state,--no-as-needed,\"${torch}\",--pop-state")
  foreach(name torch_cpu c10)
    _detente_torch_library("${root}" ${name} library)
    add_library(Detente::${name} SHARED IMPORTED GLOBAL)
    set_target_properties(Detente::${name} PROPERTIES IMPORTED_LOCATION "${library}")
    target_link_libraries(Detente::libtorch INTERFACE Detente::${name})
  endforeach()
endfunction()

# The roots from which the libraries of the targets `torch`, `torch_cpu` and `c10` come.
function(_detente_torch_target_roots out)
  set(roots "")
  foreach(target torch torch_cpu c10)
    if(NOT TARGET ${target})
      continue()
    endif()
    get_target_property(configurations ${target} IMPORTED_CONFIGURATIONS)
    set(properties IMPORTED_LOCATION)
    foreach(configuration IN LISTS configurations)
      list(APPEND properties IMPORTED_LOCATION_${configuration})
    endforeach()
    foreach(property IN LISTS properties)
      get_target_property(file ${target} ${property})
      if(file)
        get_filename_component(file "${file}" REALPATH)
        get_filename_component(folder "${file}" DIRECTORY)
        string(REGEX REPLACE "/lib(64|/[^/]+)?$" "" root "${folder}")
        list(APPEND roots "${root}")
      endif()
    endforeach()
  endforeach()
  list(REMOVE_DUPLICATES roots)
  set(${out} "${roots}" PARENT_SCOPE)
endfunction()

# Makes Detente::libtorch from a target `torch` that the project has already, as find_package(Torch)
# makes one; says where it lies, of which version its headers are, and in one sentence what is wrong
# with it ("" for nothing).
function(detente_adopt_torch_target out_root out_version out_fault)
  set(${out_fault} "" PARENT_SCOPE)
  get_target_property(include torch INTERFACE_INCLUDE_DIRECTORIES)
  if(NOT include)
    set(include "")
  endif()
  detente_torch_version(version ${include} ${TORCH_INCLUDE_DIRS})
  set(${out_version} "${version}" PARENT_SCOPE)
  _detente_torch_target_roots(roots)
  set(root "${TORCH_INSTALL_PREFIX}")
  if(NOT root)
    list(APPEND roots "")
    list(GET roots 0 root)
    list(REMOVE_ITEM roots "")
  endif()
  get_filename_component(root "${root}" REALPATH)
  set(${out_root} "${root}" PARENT_SCOPE)
  if(NOT version)
    set(${out_fault} "It names no folder with torch/version.h among its include directories."
        PARENT_SCOPE)
  elseif(roots AND NOT roots STREQUAL root)
    list(JOIN roots ", " places)
    set(${out_fault} "It mixes two LibTorchs, and the program would abort before main: headers of \
version ${version} from ${root}, libraries from ${places}. Put the root of the one you want first on \
CMAKE_PREFIX_PATH, and start with an empty build folder." PARENT_SCOPE)
  elseif(NOT TARGET Detente::libtorch)
    add_library(Detente::libtorch INTERFACE IMPORTED GLOBAL)
    target_link_libraries(Detente::libtorch INTERFACE torch)
  endif()
endfunction()
