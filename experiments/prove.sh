#!/usr/bin/env bash
# Trains a network for each of several registers, exports it, and runs all test
# clips through every engine:
#
#   experiments/prove.sh FOLDER [OPTIONS]
#
# OPTIONS are those of configs/kws.py that all trainings share, such as
# data=folder,data_dir=PATH,epochs=20. FOLDER keeps a workdir for each register
# and proof.txt; what is there already is not trained again. PYTHON names the
# interpreter, and RTL=1 also simulates the accelerator. Exit status 1: some
# integers differ.
set -euo pipefail

folder=${1:?usage: experiments/prove.sh FOLDER [OPTIONS]}
options=${2:+,$2}
python=${PYTHON:-python}
mkdir -p "$folder"
folder=$(cd -- "$folder" && pwd)
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

status=0
for register in 'wrap 6' 'wrap 7' 'saturate 5' 'exact 16'; do
  read -r mode bits <<< "$register"
  workdir=$folder/$mode$bits
  run() { "$python" -m bnn_jax.main --workdir="$workdir" "$@"; }
  if [[ ! -e $workdir/report.html ]]; then
    run --config="configs/kws.py:accumulator_bits=$bits,overflow_mode=$mode$options"
  fi
  run --mode=export
  run --mode=verify --deep | tee "$workdir/verify.txt" || status=1
  if [[ -n ${RTL:-} ]]; then
    run --mode=rtl --deep | tee "$workdir/rtl.txt" || status=1
  fi
done
cd -- "$folder"
found=(*/verify.txt ${RTL:+*/rtl.txt})
grep mismatches "${found[@]}" | tee proof.txt
exit "$status"
