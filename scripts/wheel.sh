#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the wheel of the Python package into build/wheels, for one PyTorch, and tries it in a fresh
# environment: imports it, trains with it, starts the program that is in it.
#
#   scripts/wheel.sh [PYTHON]    an interpreter that has PyTorch; default: that of build/venv, else python3
#   TORCH=.../site-packages/torch   the environment around this one
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec </dev/null

stop() { printf 'wheel: %s\n' "$*" >&2; exit 1; }

python="${1:-}"
if [ -z "$python" ] && [ -n "${TORCH:-}" ]; then python="$TORCH/../../../../bin/python3"; fi
if [ -z "$python" ]; then
  python=python3
  if ! (cd / && "$python" -c 'import torch') 2>/dev/null && [ -x build/venv/bin/python ]; then
    python=build/venv/bin/python
  fi
fi
command -v "$python" >/dev/null || stop "there is no '$python'; name the interpreter: scripts/wheel.sh PYTHON"
packages="$("$python" -c 'import os, torch; print(os.path.dirname(os.path.dirname(torch.__file__)))')" \
  || stop "'$python' has no PyTorch; install it there first (pip install torch), or name another interpreter"

mkdir -p build
# Without a build environment of pip's own where the builder is installed already: no network is asked.
isolation=()
if "$python" -c 'import scikit_build_core' 2>/dev/null; then isolation=(--no-build-isolation); fi
begun=$SECONDS
rm -rf build/wheels
echo "== building the wheel (log: build/wheel.log)"
"$python" -m pip --disable-pip-version-check wheel . --no-deps "${isolation[@]}" --wheel-dir build/wheels \
  -v >build/wheel.log 2>&1 || { tail -n 30 build/wheel.log >&2; stop "pip could not build it; the log is build/wheel.log"; }
wheel="$(echo build/wheels/detente-*.whl)"
printf '== %s: %d s, %s\n' "$wheel" $((SECONDS - begun)) "$(du -h "$wheel" | cut -f 1)"

echo "== trying it in a fresh environment (build/wheel-venv)"
rm -rf build/wheel-venv
"$python" -m venv build/wheel-venv
fresh="$PWD/build/wheel-venv"
# PyTorch is lent by the other environment, which saves installing it again; what the wheel brings comes first.
echo "$packages" >"$("$fresh/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/lent.pth"
"$fresh/bin/python" -m pip --disable-pip-version-check install -q --no-deps "$wheel" >build/wheel-install.log 2>&1 \
  || { cat build/wheel-install.log >&2; stop "the wheel cannot be installed"; }
ten_lines="$PWD/tests/python/ten_lines.py"
(cd / && env -u PYTHONPATH "$fresh/bin/python" "$ten_lines" "$fresh")
(cd / && env -u PYTHONPATH "$fresh/bin/detente" methods --json >/dev/null) || stop "the program in the wheel does not start"
echo "== done: $wheel"
