#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Everything that takes a CUDA device, in one go of at most ten minutes: builds, runs the tests with
# the label `gpu`, times training steps on the device. For a machine that has g++ (11 or later), CMake,
# Ninja and a CUDA build of PyTorch, and perhaps neither packages nor a network: what else the build
# takes is packed beforehand on a machine that has it.
#
#   scripts/gpu_check.sh --pack      headers and libraries into build/gpu_deps (Debian, Ubuntu)
#   scripts/gpu_check.sh             uses build/gpu_deps when it is there, else installed packages
#
#   TORCH=PATH    the LibTorch, .../site-packages/torch; else the one that python3 imports
#   OUT=FOLDER    where the results go (build/gpu/results)
#   SECONDS_IN_ALL=570
#
# Exit status: 0 all passed on a device, 1 something failed, 2 all was built but there is no device.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

deps="$PWD/build/gpu_deps"
build=build/gpu
limit="${SECONDS_IN_ALL:-570}"

say() { printf '== %s\n' "$*"; }
stop() { printf 'gpu_check: %s\n' "$*" >&2; exit 1; }

# --- packing -----------------------------------------------------------------------------------

# cmake_target NAME TARGET LIBRARY DEFINITIONS [INCLUDE]: a CMake package that makes one target.
cmake_target() {
  cat >>"$deps/cmake/$1Config.cmake" <<EOF
if(NOT TARGET $2)
  add_library($2 INTERFACE IMPORTED GLOBAL)
  set_target_properties($2 PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "\${CMAKE_CURRENT_LIST_DIR}/../${5:-include}"
    INTERFACE_COMPILE_DEFINITIONS "$4")
  if(NOT "$3" STREQUAL "")
    target_link_libraries($2 INTERFACE "\${CMAKE_CURRENT_LIST_DIR}/../lib/$3")
  endif()
endif()
EOF
}

pack() {
  local arch header library
  arch="$(g++ -print-multiarch)"
  rm -rf "$deps"
  mkdir -p "$deps"/{include,lib,cmake,modules}
  for header in eigen3/Eigen nlohmann CLI fmt yaml-cpp gtest gmock hwy utf8proc.h zlib.h zconf.h \
      jpeglib.h jconfig.h jmorecfg.h jerror.h png.h pngconf.h pnglibconf.h; do
    if [ -e "/usr/include/$header" ]; then
      mkdir -p "$deps/include/$(dirname "$header")"
      cp -rL "/usr/include/$header" "$deps/include/$header"
    elif [ -e "/usr/include/$arch/$header" ]; then
      cp -rL "/usr/include/$arch/$header" "$deps/include/$header"
    elif [ "$header" != hwy ] || grep -rqs 'find_package(hwy' detente; then
      stop "/usr/include/$header is missing; scripts/setup.sh installs what a build takes"
    fi
  done
  # Archives where there are any: they suit older systems than this one, too.
  for library in yaml-cpp z jpeg png utf8proc gtest gmock gtest_main hwy; do
    if [ -e "/usr/lib/$arch/lib$library.a" ]; then
      cp -L "/usr/lib/$arch/lib$library.a" "$deps/lib/"
    elif [ -e "/usr/lib/$arch/lib$library.so" ]; then
      cp -a "/usr/lib/$arch/lib$library".so* "$deps/lib/"
    elif [ "$library" != hwy ] || grep -rqs 'find_package(hwy' detente; then
      stop "/usr/lib/$arch/lib$library.a is missing; scripts/setup.sh installs what a build takes"
    fi
  done
  cmake_target fmt fmt::fmt "" FMT_HEADER_ONLY=1
  cmake_target nlohmann_json nlohmann_json::nlohmann_json "" ""
  cmake_target Eigen3 Eigen3::Eigen "" "" include/eigen3
  cmake_target CLI11 CLI11::CLI11 "" ""
  cmake_target yaml-cpp yaml-cpp libyaml-cpp.a YAML_CPP_STATIC_DEFINE
  cmake_target GTest GTest::gtest libgtest.a ""
  cmake_target GTest GTest::gmock libgmock.a ""
  cmake_target GTest GTest::gtest_main libgtest_main.a ""
  cat >>"$deps/cmake/GTestConfig.cmake" <<'EOF'
find_package(Threads REQUIRED)
set_property(TARGET GTest::gmock APPEND PROPERTY INTERFACE_LINK_LIBRARIES GTest::gtest)
set_property(TARGET GTest::gtest_main APPEND PROPERTY INTERFACE_LINK_LIBRARIES GTest::gtest)
set_property(TARGET GTest::gtest APPEND PROPERTY INTERFACE_LINK_LIBRARIES Threads::Threads)
EOF
  if [ -e "$deps/include/hwy" ]; then
    cmake_target hwy hwy::hwy "$(cd "$deps/lib" && ls libhwy.a libhwy.so 2>/dev/null | head -n 1)" ""
  fi
  # Instead of CMake's own module, which takes the program pkg-config.
  cat >"$deps/modules/FindPkgConfig.cmake" <<'EOF'
set(PkgConfig_FOUND TRUE)
set(_gpu_deps "${CMAKE_CURRENT_LIST_DIR}/..")
function(pkg_check_modules prefix)
  if(NOT "libutf8proc" IN_LIST ARGN)
    message(FATAL_ERROR "build/gpu_deps has no package ${ARGN}; see scripts/gpu_check.sh --pack")
  endif()
  if(NOT TARGET PkgConfig::${prefix})
    add_library(PkgConfig::${prefix} INTERFACE IMPORTED GLOBAL)
    target_include_directories(PkgConfig::${prefix} INTERFACE "${_gpu_deps}/include")
    target_link_libraries(PkgConfig::${prefix} INTERFACE "${_gpu_deps}/lib/libutf8proc.a")
  endif()
endfunction()
EOF
  say "packed: $(du -sh "$deps" | cut -f 1) in ${deps#"$PWD"/}"
}

case "${1:-}" in
  --pack) pack; exit ;;
  '') ;;
  *) stop "unknown argument '$1'; see the top of scripts/gpu_check.sh" ;;
esac

# --- checking ----------------------------------------------------------------------------------

results="${OUT:-$build/results}"
mkdir -p "$results" "$build"
summary=()
failed=no
left() { echo $((limit - SECONDS > 5 ? limit - SECONDS : 5)); }

# stage NAME COMMAND...: within what is left of the time; its output goes into a file, too.
stage() {
  local name="$1" start=$SECONDS log status
  shift
  log="$results/${name// /_}.log"
  say "$name"
  timeout "$(left)" "$@" >"$log" 2>&1
  status=$?
  if [ $status -eq 0 ]; then
    summary+=("$(printf '%5d s  passed  %s' $((SECONDS - start)) "$name")")
  else
    if [ $status -eq 124 ]; then echo "out of time ($limit s in all)" >>"$log"; fi
    failed=yes
    summary+=("$(printf '%5d s  FAILED  %s (%s)' $((SECONDS - start)) "$name" "$log")")
    tail -n 40 "$log"
  fi
  return $status
}

finish() {
  printf '\n##### gpu_check: %s\n' "$(device_name)"
  printf '%s\n' "${summary[@]}"
  printf '%5d s  in all; logs and numbers in %s\n' "$SECONDS" "$results"
  printf '%s\n' "$1"
  exit "$2"
}

device_name() {
  nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | head -n 1 \
    | grep . || echo "no CUDA device"
}

configure() {
  local options=(-G Ninja -S . -B "$build" -DCMAKE_BUILD_TYPE=Release -DDETENTE_CAIRO=OFF -DDETENTE_SERVE=OFF -DDETENTE_ANNOTATE=OFF
    -DDETENTE_INSTALL=OFF "-DDETENTE_TORCH_ROOT=${TORCH:-}")
  if [ -d "$deps" ]; then
    options+=("-DCMAKE_MODULE_PATH=$deps/modules" "-DZLIB_INCLUDE_DIR=$deps/include"
      "-DZLIB_LIBRARY=$deps/lib/libz.a" "-DJPEG_INCLUDE_DIR=$deps/include"
      "-DJPEG_LIBRARY=$deps/lib/libjpeg.a" "-DPNG_PNG_INCLUDE_DIR=$deps/include"
      "-DPNG_LIBRARY=$deps/lib/libpng.a")
    local config name
    for config in "$deps"/cmake/*Config.cmake; do
      name="$(basename "$config" Config.cmake)"
      options+=("-D${name}_DIR=$deps/cmake")
    done
  fi
  cmake "${options[@]}"
}
export -f configure
export build deps

on_cuda() { "$build/detente" bench step --device cuda "$@"; }

table() {
  local model input tasks batch status=0 file
  printf '%-12s %-7s %6s %6s %10s %10s %10s %7s %7s  %s\n' \
    model input tasks batch plain_ms floor_ms method_ms ratio floor strategy
  while read -r model input tasks batch; do
    file="$results/step_${model}_${input}_$tasks.json"
    if ! timeout "$(left)" "$build/detente" bench step --device cuda --model "$model" \
        --input "$input" --tasks "$tasks" --batch "$batch" --threads "$threads" --json >"$file"; then
      echo "$model $input $tasks: failed"
      status=1
      continue
    fi
    python3 - "$file" <<'EOF'
import json, sys
r = json.load(open(sys.argv[1]))
number = lambda x: "-" if x is None else f"{x:.3f}"
print(f"{r['model']:<12} {r['input']:<7} {r['tasks']:>6} {r['batch']:>6} {number(r['ms_plain']):>10} "
      f"{number(r['ms_floor']):>10} {number(r['ms_method']):>10} {number(r['ratio']):>7} "
      f"{number(r['ratio_floor']):>7}  {r['strategy']}")
EOF
  done <<'EOF'
mlp multi 10 128
mlp multi 50 128
mlp single 10 128
cnn multi 4 16
cnn single 10 32
transformer multi 4 16
transformer single 10 32
siamese single 3 256
EOF
  return $status
}
export -f table left
export results limit
threads="$(nproc)"
[ "$threads" -le 8 ] || threads=8
export threads

stage configure bash -c configure || finish "gpu_check: FAILED to configure" 1
grep -E '^-- LibTorch' "$results/configure.log"
jobs="$(nproc)"
memory="$(awk '/MemAvailable/ {print int($2 / 1048576 / 2)}' /proc/meminfo)"
[ "$memory" -ge "$jobs" ] || jobs=$((memory > 0 ? memory : 1))
stage build cmake --build "$build" --parallel "$jobs" --target gpu_test detente_app \
  || finish "gpu_check: FAILED to build" 1

stage "gpu tests" ctest --test-dir "$build" -L gpu --output-on-failure --no-tests=error
tests="$results/gpu_tests.log"
skipped="$(grep -c '\*\*\*Skipped' "$tests")"
grep -E '(tests passed|tests failed)' "$tests"

if on_cuda --model mlp --tasks 2 --batch 2 --steps 1 >"$results/device.log" 2>&1; then
  # In a shell of its own, so that `timeout` can hold a function.
  stage "step table" bash -c "SECONDS=$SECONDS; table" && cat "$results/step_table.log"
  if [ "$failed" = yes ] || [ "$skipped" -gt 0 ]; then
    finish "gpu_check: FAILED on a device ($skipped tests skipped)" 1
  fi
  finish "gpu_check: all passed on the device" 0
fi
cat "$results/device.log"
if ! grep -q 'there is no CUDA device' "$results/device.log"; then
  finish "gpu_check: FAILED to run a step ($results/device.log)" 1
fi
if [ "$failed" = yes ]; then finish "gpu_check: FAILED, and there is no device" 1; fi
finish "gpu_check: built and linked, but NOTHING was checked on a device: $skipped tests skipped" 2
