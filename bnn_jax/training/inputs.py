"""What is fitted to the input once, before training."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bnn_jax import features
from bnn_jax.data import source as source_lib

_BATCH = 100


def fit(
  source: source_lib.Source,
  *,
  front_end: features.FrontEnd,
  clips: int,
  bits: int,
  fitted: dict[str, Any],
) -> dict[str, Any]:
  """Fits the quantization of the features and what the network wants of it.

  Args:
    source: the training split.
    front_end: from waveforms to features.
    clips: how many clips to look at, evenly spread over the split.
    bits: of the quantized features.
    fitted: the `inputs` of a fresh state; its shapes say what is wanted.

  Returns:
    The same tree, filled.
  """
  q, quantization = _sample(source, front_end, clips, bits)
  makers = {
    'thresholds': lambda like: features.thermometer_levels(
      q, like.shape[-1], bits
    ),
    'mean': lambda like: np.mean(q, (0, 1)),
    'scale': lambda like: 1 / (np.std(q, (0, 1)) + 1e-3),
  }

  def fill(path, like):
    return jnp.asarray(makers[path[-1].key](like), like.dtype)

  return {
    'lo': jnp.asarray(quantization.lo, jnp.float32),
    'exponent': jnp.asarray(quantization.exponent, jnp.int32),
    'model': jax.tree_util.tree_map_with_path(fill, fitted['model']),
  }


def _sample(source, front_end, clips, bits):
  """Quantized features of some clips, and their quantization."""
  count = min(clips, len(source))
  indices = np.linspace(0, len(source) - 1, count).astype(int)
  audio = np.stack([source[int(i)].audio for i in indices])
  extract = jax.jit(features.extract, static_argnums=1)
  pieces = [
    np.asarray(
      extract(audio[i : i + _BATCH].astype(np.float32) / 32768, front_end)
    )
    for i in range(0, count, _BATCH)
  ]
  values = np.concatenate(pieces)
  quantization = features.fit_quantization(values, bits)
  return np.asarray(features.quantize(values, quantization)), quantization
