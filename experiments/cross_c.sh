#!/usr/bin/env bash
# Whether the C code of an export gives the same integers on other processors.
#
#   experiments/cross_c.sh EXPORT
#
# compiles EXPORT/c for 32-bit ARM (plain C and NEON), 64-bit ARM (NEON) and
# RISC-V and runs it in qemu-user: the network on random q, the front end on
# fixed samples, and the example main.c on wav files of them. All is compared
# with the golden model and the front end in NumPy. A compiler that is missing
# is told, and left out; where all are, that is an error. On Debian they come
# with
#   apt install gcc-arm-linux-gnueabihf gcc-aarch64-linux-gnu \
#     gcc-riscv64-linux-gnu qemu-user
set -euo pipefail

export_folder=$(realpath "${1:?usage: experiments/cross_c.sh EXPORT}")
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"

"$python" -m experiments.cross_c prepare "$export_folder" "$work"

failed=0
compared=0
compare() {
  compared=$((compared + 1))
  "$python" -m experiments.cross_c compare "$@" || failed=1
}

build() {
  local program=$1
  shift
  "$compiler" -std=c99 -Wall -Wextra -Wpedantic -Werror -O2 -static \
    "${options[@]}" -I"$export_folder/c" "$@" -o "$work/$program"
}

check() {
  local name=$1 emulator=$2 compiler=$3
  shift 3
  local options=("$@")
  if ! command -v "$compiler" "$emulator" > "$work/found" ||
      [ "$(wc -l < "$work/found")" -ne 2 ]; then
    echo "$name: left out, as $compiler or $emulator is missing"
    return
  fi
  build logits tests/export/logits.c "$export_folder/c/bnn_model.c"
  "$emulator" "$work/logits" < "$work/q.bin" > "$work/found.bin"
  compare "golden vs $name" "$work/logits.bin" "$work/found.bin"
  if [ ! -e "$work/samples.bin" ]; then
    echo "$name: no front end, as its features have no integers"
    return
  fi
  build frames tests/frontend/main.c "$export_folder/c/frontend.c"
  "$emulator" "$work/frames" < "$work/samples.bin" > "$work/found.bin"
  compare "NumPy front end vs $name" "$work/frames.bin" "$work/found.bin"
  build classify "$export_folder"/c/*.c
  for clip in "$work"/*.wav; do
    "$emulator" "$work/classify" "$clip"
  done > "$work/found.txt"
  compare "main.c, $name" "$work/classes.txt" "$work/found.txt"
}

check 'C, 32-bit ARM' qemu-arm arm-linux-gnueabihf-gcc
check 'C, 32-bit ARM with NEON' qemu-arm arm-linux-gnueabihf-gcc -mfpu=neon
check 'C, 64-bit ARM with NEON' qemu-aarch64 aarch64-linux-gnu-gcc
check 'C, RISC-V' qemu-riscv64 riscv64-linux-gnu-gcc
if [ "$compared" -eq 0 ]; then
  echo 'error: nothing was compared; install a compiler named above.' >&2
  exit 1
fi
exit "$failed"
