"""From a network and its variables to what is exported."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import numpy as np

from bnn_jax.export import fold
from bnn_jax.export import specs
from bnn_jax.export import trace


def export(
  model: nn.Module,
  variables: Mapping[str, Any],
  *,
  frames: int,
  bins: int,
  input_bits: int,
  lo: float | np.ndarray,
  exponent: int | np.ndarray,
  front_end: dict[str, Any],
  class_names: Sequence[str],
  provenance: dict[str, Any],
) -> specs.Model:
  """Makes the exported form of a network.

  Args:
    model: the network.
    variables: its collections `params`, `deployed` and `inputs`.
    frames: T of its input.
    bins: F of its input.
    input_bits: B of its input.
    lo: the feature of q = 0.
    exponent: one step of q is 2^exponent.
    front_end: settings of the features.
    class_names: in the order of the logits.
    provenance: for the record; JSON.

  Returns:
    Its layers, folded, with what else an engine needs.

  Raises:
    UserError: a layer that has no integer form.
  """
  layers = trace.trace(
    model, variables, frames=frames, bins=bins, input_bits=input_bits
  )
  return specs.Model(
    input=specs.Input(frames, bins, input_bits, float(lo), int(exponent)),
    front_end=front_end,
    class_names=tuple(class_names),
    layers=fold.simplify(layers),
    provenance=provenance,
  )
