#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Whether all 3,000 recordings are here and unchanged: all of them one after the other, by their names as
# bytes, have one checksum. Says what is wrong and exits with 1.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/recordings}
if [ ! -d "$folder" ]; then
  echo "'$folder' is not there"
  exit 1
fi
found=$(cd "$folder" && LC_ALL=C && export LC_ALL && cat ./*.wav 2>/dev/null | sha256sum)
if [ "${found%% *}" != ddb17656a0bca4c5ddace082be188ca630516dc2ef1110afe3c4e9cc71173de4 ]; then
  echo "the recordings in '$folder' are not those our numbers were measured on"
  exit 1
fi
