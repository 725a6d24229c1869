#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what a build needs and is not there yet: packages through apt, the LibTorch engine into
# build/venv. Says what it does before doing it; does nothing, quickly, when nothing is missing.
#
#   scripts/setup.sh [--torch auto|wheel|system|none|PATH] [--lint] [--tidy] [--video] [--slurm] [--mpi]
#                    [--frameworks]
#
#   auto    the PyTorch that python3 imports, if it is new enough, else wheel
#   wheel   the pinned PyTorch in the virtual environment build/venv
#   system  the system's libtorch-dev, if it is new enough
#   none    no engine: the torch-free part only
#   PATH    a LibTorch that is there already
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

base_packages=(g++ make cmake ninja-build ccache mold pkg-config git
  libeigen3-dev nlohmann-json3-dev libyaml-cpp-dev libcli11-dev libcpp-httplib-dev libfmt-dev libspdlog-dev zlib1g-dev
  libhwy-dev libutf8proc-dev libjpeg-dev libpng-dev libcairo2-dev libgloo-dev fonts-dejavu-core libgtest-dev libgmock-dev libbenchmark-dev python3)
wheel_packages=(python3-venv python3-dev)
# The second is no dependency of the first, and 18 times faster than the BLAS that is one.
system_packages=(libtorch-dev libopenblas0-openmp)
lint_packages=(clang-format-14)
tidy_packages=(clang-tidy-14 clang-14 libclang-rt-14-dev)
# Video files (data.kind: video); the rest needs none of it.
video_packages=(libavformat-dev libavcodec-dev libswscale-dev)
# For tests alone, which start what people start training with: a cluster of their own, and mpirun.
slurm_packages=(slurm-wlm)
mpi_packages=(openmpi-bin)

oldest_torch=2.7  # as in cmake/DetenteTorch.cmake

say() { printf '== %s\n' "$*"; }
stop() { printf 'setup: %s\n' "$*" >&2; exit 1; }

torch=auto
lint=no
tidy=no
video=no
slurm=no
mpi=no
frameworks=no
while [ $# -gt 0 ]; do
  case "$1" in
    --torch) [ $# -ge 2 ] || stop "--torch needs a value"; torch="${2:-auto}"; shift 2 ;;
    --lint) lint=yes; shift ;;
    --tidy) tidy=yes; shift ;;
    --video) video=yes; shift ;;
    --slurm) slurm=yes; shift ;;
    --mpi) mpi=yes; shift ;;
    --frameworks) frameworks=yes; shift ;;
    *) stop "unknown argument '$1'; see the top of scripts/setup.sh" ;;
  esac
done
torch="${torch:-auto}"

new_enough() { [ "$(printf '%s\n' "$oldest_torch" "$1" | sort -V | head -n 1)" = "$oldest_torch" ]; }

# The version of the PyTorch that python3 imports, or nothing. (Importing it takes seconds.)
torch_of_python() {
  if ! command -v python3 >/dev/null; then return; fi
  (cd / && python3 - 2>/dev/null) <<'PY' || true
import importlib.util, os, re
folder = os.path.dirname(importlib.util.find_spec("torch").origin)
if os.path.exists(os.path.join(folder, "lib/libtorch.so")):
    with open(os.path.join(folder, "version.py"), encoding="utf-8") as file:
        print(re.search(r"__version__ = '([0-9.]+)", file.read()).group(1))
PY
}

if [ "$torch" = auto ]; then
  version="$(torch_of_python)"
  if [ -z "$version" ]; then
    torch=wheel
  elif new_enough "$version"; then
    torch=none
  else
    say "python3's PyTorch $version is too old ($oldest_torch is needed): taking one of our own"
    torch=wheel
  fi
fi

packages=("${base_packages[@]}")
case "$torch" in
  wheel) packages+=("${wheel_packages[@]}") ;;
  system)
    # Before a gigabyte is installed in vain.
    version="$(LC_ALL=C apt-cache policy libtorch-dev 2>/dev/null \
      | sed -n 's/^ *Candidate: *\([0-9.]*[0-9]\).*/\1/p' || true)"
    if [ -n "$version" ] && ! new_enough "$version"; then
      stop "TORCH=system: the system's LibTorch is $version, and Detente needs $oldest_torch or \
later. Run 'make build' without TORCH=system: it installs PyTorch into build/venv"
    fi
    packages+=("${system_packages[@]}")
    ;;
  none) ;;
  *) [ -d "$torch" ] || stop "TORCH=$torch is no folder; name a LibTorch, or 'system', or nothing" ;;
esac
if [ "$lint" = yes ]; then packages+=("${lint_packages[@]}"); fi
if [ "$tidy" = yes ]; then packages+=("${tidy_packages[@]}"); fi
if [ "$video" = yes ]; then packages+=("${video_packages[@]}"); fi
if [ "$slurm" = yes ]; then packages+=("${slurm_packages[@]}"); fi
if [ "$mpi" = yes ]; then packages+=("${mpi_packages[@]}"); fi

install_packages() {
  local missing=() package
  for package in "${packages[@]}"; do
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
      missing+=("$package")
    fi
  done
  if [ ${#missing[@]} -eq 0 ]; then return; fi
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null || { [ ! -t 0 ] && ! sudo -n true 2>/dev/null; }; then
      printf 'setup: these packages are missing, and installing them takes root. Run:\n' >&2
      printf '  apt-get install -y --no-install-recommends %s\n' "${missing[*]}" >&2
      exit 1
    fi
    as_root=(sudo)
  fi
  as_root+=(env DEBIAN_FRONTEND=noninteractive)
  say "installing through apt: ${missing[*]}"
  # The lists of a fresh machine or image may be missing or old; only then is the network asked twice.
  if ! "${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" \
      </dev/null >build/apt.log 2>&1; then
    "${as_root[@]}" apt-get update -q </dev/null >build/apt.log 2>&1 || true
    if ! "${as_root[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" \
        </dev/null >>build/apt.log 2>&1; then
      tail -n 20 build/apt.log >&2
      stop "apt could not install them; the whole log is build/apt.log"
    fi
  fi
}

check_tools() {
  local tool
  for tool in g++ cmake ninja pkg-config python3; do
    command -v "$tool" >/dev/null || stop "'$tool' is missing, and this system has no apt. Install \
what these Debian packages hold, then run this again: ${packages[*]}"
  done
}

# venv and pip leave halves behind when they are interrupted, and take them for whole the next time;
# so a folder whose installation had begun and not ended is made anew.
install_wheel() {
  local venv=build/venv stamp begun
  stamp="$venv/.complete-$(sha256sum scripts/requirements.txt | cut -c 1-12)"
  begun=build/.venv-begun
  if [ -e "$stamp" ] && [ -x "$venv/bin/python" ]; then return; fi
  if [ -e "$begun" ] || { [ -d "$venv" ] && ! "$venv/bin/python" -c 'import pip' 2>/dev/null; }; then
    say "build/venv is incomplete (an interrupted installation?): making it anew"
    rm -rf "$venv"
  fi
  say "installing $(grep -v '^#' scripts/requirements.txt | tr '\n' ' ')into build/venv (some minutes)"
  touch "$begun"
  if [ ! -d "$venv" ]; then
    python3 -m venv "$venv" || stop "python3 -m venv failed (on Debian it needs python3-venv)"
  fi
  if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
      -r scripts/requirements.txt </dev/null >build/pip.log 2>&1; then
    tail -n 20 build/pip.log >&2
    stop "pip could not install the engine (log: build/pip.log). A PyTorch that is there already \
does without pip: make ... TORCH=.../site-packages/torch"
  fi
  "$venv/bin/python" -c 'import torch' || stop "the PyTorch in build/venv cannot be imported"
  rm -f "$begun"
  touch "$stamp"
}

# Lightning, transformers and others, for the tests of the Python package alone. Only into build/venv: an environment
# of the user's is left as it is, and the tests skip what it lacks.
install_frameworks() {
  local venv=build/venv stamp
  stamp="$venv/.frameworks-$(cat scripts/requirements.txt scripts/requirements-frameworks.txt | sha256sum | cut -c 1-12)"
  if [ -e "$stamp" ]; then return; fi
  say "installing what the tests of the Python package try it with into build/venv"
  if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c scripts/requirements.txt \
      -r scripts/requirements-frameworks.txt </dev/null >build/pip.log 2>&1; then
    tail -n 20 build/pip.log >&2
    stop "pip could not install scripts/requirements-frameworks.txt (log: build/pip.log)"
  fi
  touch "$stamp"
}

mkdir -p build
exec 9>build/.setup.lock
flock 9  # two doors opened at once install one after the other

if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
  install_packages
else
  check_tools
fi
if [ "$torch" = wheel ]; then
  install_wheel
  if [ "$frameworks" = yes ]; then install_frameworks; fi
fi
