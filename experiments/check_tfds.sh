#!/usr/bin/env bash
# Prepares small archives by tensorflow-datasets' own builder and reads them
# back, in an environment of its own: experiments/check_tfds.sh FOLDER [PYTHON]
set -euo pipefail

folder="${1:?usage: experiments/check_tfds.sh FOLDER [PYTHON]}"
python="${2:-python3}"
folder="$(realpath -m -- "$folder")"
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
if [[ ! -e "$folder/ready" ]]; then
  "$python" -m venv "$folder"
  "$folder/bin/pip" install --quiet -c constraints.txt '.[test,tfds]'
  touch "$folder/ready"
fi
exec "$folder/bin/python" -m pytest -q tests/data/test_tfds.py \
  tests/data/test_tfds_prepare.py
