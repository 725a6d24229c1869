#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Whether the files of all 795 and 654 examples are here; their content is what `detente data check` looks at.
# Says what is wrong and exits with 1.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
. "$here/../fetch.sh"
check_numbered "$here/train" 795 image label depth normal
check_numbered "$here/val" 654 image label depth normal
