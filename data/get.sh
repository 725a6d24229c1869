#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Brings a data set to its folder, or says how a user gets it; `detente data get` runs this.
#
#   sh data/get.sh NAME [ARGUMENT...]     the arguments of NAME/prepare.sh, if it has one
#
# What is here already is checked and left alone. Exits with 2 for a name that is not there, with 3 when files
# are missing, cannot be fetched or are not the ones our numbers were measured on.
set -eu

data=$(cd "$(dirname "$0")" && pwd)
. "$data/fetch.sh"
name=${1:?usage: sh data/get.sh NAME [ARGUMENT...]}
shift
here=$data/$name
case $name in
  */* | .*) here= ;;
esac
if [ -z "$here" ] || { [ ! -f "$here/SHA256SUMS" ] && [ ! -f "$here/check.sh" ]; }; then
  echo "get.sh: there is no data set '$name' in $data" >&2
  exit 2
fi

# complete: 0 when all is there. A set of very many files has a check of its own.
complete() {
  if [ -f "$here/check.sh" ]; then sh "$here/check.sh"; else check_sums "$here"; fi
}
told() {
  if [ -f "$here/SHA256SUMS" ]; then
    echo "$name: in $here, every checksum right"
  else
    echo "$name: in $here, every file is there (no checksums of them are known)"
  fi
}
if missing=$(complete); then
  told
  exit 0
fi
if [ ! -f "$here/prepare.sh" ]; then
  die "$missing" "there is no command that fetches $name: $here/README.md says what it is and where it comes from"
fi
sh "$here/prepare.sh" "$@"
missing=$(complete) || die "$missing"
told
