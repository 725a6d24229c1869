#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetches the graphs of PROTEINS (0.5 MB) into this folder, or takes your own copy, and checks them.
#
#   sh data/proteins/prepare.sh [FILE]      FILE is PROTEINS.txt
#
# Exits with 3 when there is no network or the file is not the one our numbers were measured on.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../fetch.sh"
with_work_folder
if [ $# -gt 0 ]; then
  cp "$1" "$work/proteins.txt" || die "cannot read '$1'"
else
  fetch "$work/proteins.txt" \
    https://raw.githubusercontent.com/LiuBeauty/GIN_COMETRUE/8fb89b47171e/dataset/PROTEINS/PROTEINS.txt
fi
cp "$here/SHA256SUMS" "$work/"
wrong=$(check_sums "$work") || die "$wrong"
gzip -9n "$work/proteins.txt"
mv "$work/proteins.txt.gz" "$here/"
