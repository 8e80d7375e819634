#!/usr/bin/env bash
# Compares our cycles with ZigZag's; see experiments/zigzag.py.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
environment=build/zigzag
if [[ ! -x "$environment/done" ]]; then
  "${PYTHON:-python3}" -m venv "$environment"
  # zigzag-dse needs six and does not say so.
  "$environment/bin/pip" install --quiet 'zigzag-dse>=3.9,<4' 'six>=1.16,<2'
  install /dev/null "$environment/done"
fi
exec "$environment/bin/python" -m experiments.zigzag
