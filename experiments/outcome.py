"""What is kept of a training, for JSON."""

from collections.abc import Mapping
from typing import Any

import ml_collections

from bnn_jax.training import setup

# Of each split.
_KEPT = (
  'clips', 'accuracy_exact', 'accuracy_deployed', 'changed_decisions',
  'right_exact', 'right_deployed',
)


def outcome(
  config: ml_collections.ConfigDict,
  splits: Mapping[str, Mapping[str, Any]],
  **measured: Any,
) -> dict[str, Any]:
  """The record of a training that ended well.

  Args:
    config: its configuration.
    splits: name to `evaluator.split_results`.
    **measured: how long it took and where.

  Returns:
    `splits` in short; `overflow`, the share of sums that left their register,
    by the layer's path and over all splits; the register; what was measured.
  """
  return {
    'accumulator': setup.describe_accumulator(config),
    'splits': {
      name: {key: results[key] for key in _KEPT}
      for name, results in splits.items()
    },
    'overflow': _overflow(splits),
    **measured,
  }


def _overflow(splits) -> dict[str, float]:
  totals: dict[str, tuple[int, int]] = {}
  for results in splits.values():
    for layer in results['overflow']:
      outside, outputs = totals.get(layer['path'], (0, 0))
      totals[layer['path']] = (
        outside + layer['persistent'] + layer['transient'],
        outputs + layer['outputs'],
      )
  return {path: outside / n for path, (outside, n) in totals.items()}
