#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fetches the 3,000 recordings (21 MB) into this folder, or takes your own copy, and checks them.
#
#   sh data/fsdd/prepare.sh [FOLDER]      FOLDER is a checkout of free-spoken-digit-dataset
#
# Exits with 3 when there is no network or the recordings are not the ones our numbers were measured on.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../fetch.sh"
commit=26eb9aaf76e81b692f806f9140c2d2777410d7a1
with_work_folder
if [ $# -gt 0 ]; then
  cp -r "$1/recordings" "$work/recordings" || die "cannot read '$1/recordings'"
else
  fetch "$work/fsdd.tar.gz" \
    "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/$commit.tar.gz"
  tar -xzf "$work/fsdd.tar.gz" -C "$work" || die "what arrived is no archive"
  mv "$work/free-spoken-digit-dataset-$commit/recordings" "$work/recordings" \
    || die "what arrived holds no recordings"
fi
wrong=$(sh "$here/check.sh" "$work/recordings") || die "$wrong"
if [ -e "$here/recordings" ]; then
  die "'$here/recordings' is there and is not what it should be; move it away first"
fi
mkdir "$here/recordings.part"
cp "$work"/recordings/*.wav "$here/recordings.part/"
mv "$here/recordings.part" "$here/recordings"
