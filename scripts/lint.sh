#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every check that needs no build. Runs all of them, then says which failed.
#   scripts/lint.sh [--fix]     --fix formats the C++ files instead of complaining
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failures=()
check() {
  local name="$1"
  shift
  "$@" || failures+=("$name")
}

cpp_files() {
  git ls-files -z -co --exclude-standard -- 'detente/*.h' 'detente/*.cpp' 'apps/*.cpp' 'bench/*.cpp' \
    'bench/*.h' 'tests/*.h' 'tests/*.cpp' 'examples/*.cpp' 'examples/*.h' \
    ':!tests/package'  # examples of the documentation, laid out for reading
}

format() {
  local program
  program="$(command -v clang-format-14)" || { echo "format: clang-format-14 is missing"; return 1; }
  if [ "${1:-}" = --fix ]; then
    cpp_files | xargs -0 -r "$program" -i
    return
  fi
  local bad
  bad="$(cpp_files | xargs -0 -r "$program" --dry-run -Werror 2>&1 \
    | sed -n 's/^\([^:]*\):[0-9]*:[0-9]*: error: code should be clang-formatted.*/\1/p' | sort -u)"
  if [ -n "$bad" ]; then
    printf 'not formatted (scripts/lint.sh --fix): %s\n' $bad
    return 1
  fi
  echo "format: $(cpp_files | tr '\0' '\n' | wc -l) files"
}

shell_scripts() {
  local file
  for file in $(git ls-files -co --exclude-standard -- '*.sh') .ci/run; do
    bash -n "$file" || return 1
    case "$file" in
      scripts/* | .ci/*) [ -x "$file" ] || { echo "$file is not executable"; return 1; } ;;
    esac
  done
}

python_scripts() {
  git ls-files -z -co --exclude-standard -- '*.py' | xargs -0 -r python3 -c '
import sys
for name in sys.argv[1:]:
    compile(open(name, encoding="utf-8").read(), name, "exec")'
}

json_files() {
  python3 -c 'import json; json.load(open("CMakePresets.json"))' \
    && cmake --list-presets=all . >/dev/null
}

# What is compiled must be written in a CMake list, or it is forgotten.
cmake_lists() {
  python3 - <<'PY'
import pathlib, sys
bad = []
for top in ("detente", "tests", "bench"):
    for lists in pathlib.Path(top).glob("*/CMakeLists.txt"):
        text = lists.read_text()
        for source in lists.parent.rglob("*.cpp"):
            if "package" in lists.parts:
                continue
            if source.name not in text:
                bad.append(f"{source} is in no CMakeLists.txt")
print(*bad, sep="\n", end="\n" if bad else "")
sys.exit(bool(bad))
PY
}

# It runs on one thread wherever a file is not compiled with OpenMP, without a word.
parallel_loops() {
  if grep -rn 'at::parallel_\(for\|reduce\)' detente apps examples | grep -v '^detente/tensor/parallel\.'; then
    echo "use detente::tensor::parallel_for (detente/tensor/parallel.h)"
    return 1
  fi
}

if [ "${1:-}" = --fix ]; then format --fix; exit; fi
check format format
check layers python3 scripts/check_layers.py
check headers python3 scripts/check_headers.py
check text python3 scripts/check_text.py
check cmake cmake_lists
check parallel parallel_loops
check shell shell_scripts
check python python_scripts
check presets json_files

if [ ${#failures[@]} -gt 0 ]; then
  printf 'lint: failed: %s\n' "${failures[*]}"
  exit 1
fi
echo "lint: all checks passed"
