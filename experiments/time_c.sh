#!/usr/bin/env bash
# Time of one clip through the C network of an export, by compiler options.
#
#   experiments/time_c.sh EXPORT [OPTIONS]...
#
# One thread; each OPTIONS is one argument, such as '-O3 -mavx2'. By default, the
# sets of instructions of x86-64. The compiler is that of CC, or cc.
set -euo pipefail

sources=${1:?usage: experiments/time_c.sh EXPORT [OPTIONS]...}/c
shift
if [ "$#" -eq 0 ]; then
  set -- '-O3 -march=native' '-O3 -mavx2 -mpopcnt' '-O3 -mpopcnt' '-O3' \
    '-O3 -DBNN_PLAIN'
fi
folder=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for options in "$@"; do
  read -ra words <<< "$options"
  "${CC:-cc}" -std=c99 "${words[@]}" "-I$sources" "$folder/time_c.c" \
    "$sources/bnn_model.c" -o "$work/time"
  echo "$options: $("$work/time")"
done
