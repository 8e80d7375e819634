#!/usr/bin/env bash
# Times a training step of one binary net here and in larq, interleaved, in an
# environment of its own: experiments/bench_larq.sh FOLDER [PYTHON [JSON]]
set -euo pipefail

folder="${1:?usage: experiments/bench_larq.sh FOLDER [PYTHON [JSON]]}"
python="${2:-python3}"
json="${3:+$(realpath -- "$3")}"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
if [[ ! -e "$folder/ready" ]]; then
  "$python" -m venv "$folder"
  "$folder/bin/pip" install --quiet 'larq==0.13.*' 'tensorflow-cpu==2.19.*' \
    'tf_keras==2.19.*'
  # larq asks for NumPy 1 but runs with 2, which JAX needs; pip complains.
  "$folder/bin/pip" install --quiet 'jax==0.10.2' 'numpy>=2,<2.2' setuptools
  touch "$folder/ready"
fi
export PYTHONPATH=. JAX_PLATFORMS=cpu TF_USE_LEGACY_KERAS=1 TF_CPP_MIN_LOG_LEVEL=2
# The kernel is one of a version of Python; without a compiler there is none,
# and the benchmark says so.
"$folder/bin/python" -c 'if True:
  from bnn_jax.nn.kernels import compiled
  raise SystemExit(not compiled.levels())' ||
  "$folder/bin/python" setup.py --quiet build_ext --inplace
exec taskset -c 0 "$folder/bin/python" -m experiments.bench_larq \
  ${json:+--json "$json"}
