# SPDX-License-Identifier: Apache-2.0
# What the scripts that fetch a data set share; sourced by them, never run.

# die TEXT...: says it and exits with 3.
die() {
  for _line in "$@"; do echo "$(basename "$0"): $_line" >&2; done
  exit 3
}

# fetch FILE URL...: FILE from the first URL that answers; nothing is left of what did not arrive whole.
fetch() {
  _file=$1
  shift
  for _url in "$@"; do
    echo "fetching $_url" >&2
    if command -v curl >/dev/null 2>&1; then
      curl --fail --silent --show-error --location --connect-timeout 20 --speed-limit 1000 --speed-time 60 \
        --output "$_file.part" "$_url" && mv "$_file.part" "$_file" && return 0
    elif command -v wget >/dev/null 2>&1; then
      wget --quiet --timeout=60 --tries=2 --output-document="$_file.part" "$_url" \
        && mv "$_file.part" "$_file" && return 0
    else
      die "fetching needs the program curl or wget; with the files at hand see $here/README.md"
    fi
    rm -f "$_file.part"
  done
  die "'$(basename "$_file")' could not be fetched; is there a network?" \
    "with the files at hand see $here/README.md"
}

# check_sums FOLDER: whether every file of its SHA256SUMS is there, packed as NAME.gz or not, and unchanged.
# Says which one is not.
check_sums() {
  while read -r _sum _name; do
    if [ -f "$1/$_name" ]; then
      _found=$(sha256sum <"$1/$_name")
    elif [ -f "$1/$_name.gz" ]; then
      _found=$(gzip -dc "$1/$_name.gz" 2>/dev/null | sha256sum)
    else
      echo "'$_name' is not there"
      return 1
    fi
    if [ "${_found%% *}" != "$_sum" ]; then
      echo "'$_name' is not the file our numbers were measured on"
      return 1
    fi
  done <"$1/SHA256SUMS"
}

# demand_sums FOLDER: exits with 3 where a file of its SHA256SUMS is not what it was.
demand_sums() {
  if ! (cd "$1" && sha256sum -c SHA256SUMS); then
    die "a file differs from the one our numbers were measured on; it may still be a" \
      "good copy of another edition, but scores will not compare."
  fi
}

# arff_to_csv TARGETS: ARFF from standard input to CSV, the names of the columns from its @attribute lines, the
# last TARGETS of them with the prefix target:; the rows stay as they are.
arff_to_csv() {
  tr -d '\r' | awk -v targets="$1" '
    /^%/ || /^ *$/ { next }
    tolower($1) == "@attribute" {
      if ($2 ~ /^\047/) { split($0, part, "\047"); names[count++] = part[2] } else names[count++] = $2
      next
    }
    tolower($1) == "@data" {
      for (i = 0; i < count; ++i) {
        prefix = (i >= count - targets) ? "target:" : ""
        header = header (i ? "," : "") prefix names[i]
      }
      print header
      rows = 1
      next
    }
    rows'
}

# prepare_mulan FOLDER TARGETS [OWN]: train.csv and test.csv in FOLDER from NAME-train.arff and NAME-test.arff, NAME being
# the folder's: those of the collection of tsoumakas/mulan, or those in the folder OWN.
prepare_mulan() {
  _name=$(basename "$1")
  for _part in train test; do
    if [ $# -gt 2 ]; then
      cp "$3/$_name-$_part.arff" "$work/$_part.arff" \
        || die "cannot read '$3/$_name-$_part.arff'; see $1/README.md for where to get it"
    else
      fetch "$work/$_part.arff" \
        "https://raw.githubusercontent.com/tsoumakas/mulan/43f6389095ad71984264db4387a8074b22bc7d4a/data/multi-label/$_name/$_name-$_part.arff"
    fi
    arff_to_csv "$2" <"$work/$_part.arff" >"$1/$_part.csv.tmp"
    mv "$1/$_part.csv.tmp" "$1/$_part.csv"
  done
  demand_sums "$1"
}

# with_work_folder: $work, a folder of its own that goes when the script ends.
with_work_folder() {
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT TERM HUP
}

# check_numbered FOLDER COUNT KIND...: whether FOLDER/KIND/0.npy to COUNT-1 are there. Says which one is not.
check_numbered() {
  _folder=$1
  _count=$2
  shift 2
  for _kind in "$@"; do
    _i=0
    while [ "$_i" -lt "$_count" ]; do
      if [ ! -f "$_folder/$_kind/$_i.npy" ]; then
        echo "'$_folder/$_kind/$_i.npy' is not there"
        return 1
      fi
      _i=$((_i + 1))
    done
  done
}
