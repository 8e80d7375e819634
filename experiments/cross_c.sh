#!/usr/bin/env bash
# Whether the C code of an export gives the golden logits on other processors.
#
#   experiments/cross_c.sh EXPORT
#
# compiles EXPORT/c for 32-bit ARM (plain C and NEON), 64-bit ARM (NEON) and
# RISC-V, runs it in qemu-user on random q and compares all logits. A compiler
# that is missing is told, and left out; on Debian they come with
#   apt install gcc-arm-linux-gnueabihf gcc-aarch64-linux-gnu \
#     gcc-riscv64-linux-gnu qemu-user
set -euo pipefail

export_folder=${1:?usage: experiments/cross_c.sh EXPORT}
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" - "$export_folder" "$work/q.npy" "$work/q.bin" <<'END'
import json
import pathlib
import sys

import numpy as np

folder, array, raw = sys.argv[1:]
form = json.loads((pathlib.Path(folder) / 'model.json').read_text())['input']
shape = (20, form['frames'], form['bins'])
q = np.random.default_rng(0).integers(0, 2 ** form['bits'], shape, np.uint8)
np.save(array, q)
pathlib.Path(raw).write_bytes(q.tobytes())
END
"$python" "$root/bnn_jax/export/golden.py" "$export_folder" "$work/q.npy" \
  "$work/logits.npy"

failed=0
check() {
  local name=$1 emulator=$2 compiler=$3
  shift 3
  if ! command -v "$compiler" "$emulator" > "$work/found" ||
      [ "$(wc -l < "$work/found")" -ne 2 ]; then
    echo "$name: left out, as $compiler or $emulator is missing"
    return
  fi
  "$compiler" -std=c99 -Wall -Wextra -Wpedantic -Werror -O2 -static "$@" \
    -I"$export_folder/c" "$root/tests/export/logits.c" \
    "$export_folder/c/bnn_model.c" -o "$work/logits"
  "$emulator" "$work/logits" < "$work/q.bin" > "$work/logits.bin"
  "$python" - "$name" "$work/logits.npy" "$work/logits.bin" <<'END' || failed=1
import sys

import numpy as np

name, expected, found = sys.argv[1:]
expected = np.load(expected)
found = np.fromfile(found, '<i4').reshape(expected.shape)
unequal = int((expected != found).sum())
print(f'golden vs {name}: mismatches: {unequal} of {expected.size}')
sys.exit(unequal > 0)
END
}

check 'C, 32-bit ARM' qemu-arm arm-linux-gnueabihf-gcc
check 'C, 32-bit ARM with NEON' qemu-arm arm-linux-gnueabihf-gcc -mfpu=neon
check 'C, 64-bit ARM with NEON' qemu-aarch64 aarch64-linux-gnu-gcc
check 'C, RISC-V' qemu-riscv64 riscv64-linux-gnu-gcc
exit "$failed"
