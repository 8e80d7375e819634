#!/usr/bin/env bash
# Times our networks in C beside those of others in their runtimes:
#   experiments/bench_inference.sh FOLDER [PYTHON] [OPTIONS]...
# FOLDER keeps an environment with these runtimes, all networks and results.json;
# PYTHON, with bnn_jax installed, makes ours; OPTIONS are of bench_inference.
set -euo pipefail

folder="${1:?usage: experiments/bench_inference.sh FOLDER [PYTHON] [OPTIONS]...}"
python="${2:-python3}"
mkdir -p "$folder"
folder="$(cd -- "$folder" && pwd)"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
export PYTHONPATH=. JAX_PLATFORMS=cpu TF_CPP_MIN_LOG_LEVEL=2 OMP_NUM_THREADS=1
if [[ ! -e "$folder/ready" ]]; then
  # The wheel of larq-compute-engine reads arrays of NumPy 1.
  "$python" -m venv "$folder/env"
  "$folder/env/bin/pip" install --quiet 'tensorflow-cpu==2.19.*' \
    'tf_keras==2.19.*' 'larq==0.13.*' 'numpy>=1.26,<2' 'rich>=13.7,<16' \
    ai-edge-litert onnx onnxruntime
  "$folder/env/bin/pip" install --quiet larq-compute-engine ||
    echo 'larq-compute-engine has no wheel for this Python, and is left out'
  touch "$folder/ready"
fi
if [[ ! -e "$folder/peers/ready" ]]; then
  "$folder/env/bin/python" -m experiments.bench_peers "$folder/peers"
  touch "$folder/peers/ready"
fi
"$python" -m experiments.bench_exports "$folder/exports"
exec taskset -c 0 "$folder/env/bin/python" -m experiments.bench_inference \
  --exports "$folder/exports" --peers "$folder/peers" \
  --json "$folder/results.json" "${@:3}"
