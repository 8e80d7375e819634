"""Networks on whole splits: logits, counts of overflow, and what they tell."""

import base64
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import functools
from typing import Any
from typing import NamedTuple

import flax.linen as nn
import jax
import numpy as np

from bnn_jax import features
from bnn_jax.data import pipeline
from bnn_jax.data import source as source_lib
from bnn_jax.nn import deployment
from bnn_jax.training import metrics
from bnn_jax.training import state as state_lib
from bnn_jax.training import steps

_BATCH = 100


def deployer(
  model: nn.Module, *, frames: int, bins: int
) -> Callable[[state_lib.TrainState], state_lib.TrainState]:
  """Makes the function that deploys states of a network, traced here once.

  Args:
    model: the network.
    frames: T of its input.
    bins: F of its input.

  Returns:
    From a state to the same with deployed constants made from its parameters.
  """
  q = jax.ShapeDtypeStruct((1, frames, bins), 'uint8')
  layers = deployment.deployable_layers(model, q, train=False)

  def deploy_state(state):
    constants = deployment.deployed_constants(
      layers, state.params, state.batch_stats
    )
    return state.replace(deployed=state_lib.replicate(constants))

  return deploy_state


class QuantizedSplit(NamedTuple):
  """A split as all networks and engines read it.

  Attributes:
    q: quantized features, uint8 `[n, T, F]`.
    labels: class indices, int32 `[n]`.
  """

  q: np.ndarray
  labels: np.ndarray


def quantize_split(
  source: source_lib.Source,
  inputs: Mapping[str, Any],
  *,
  front_end: features.FrontEnd,
  input_bits: int,
) -> QuantizedSplit:
  """Computes the front end of a split, once for whatever reads it.

  Args:
    source: the split.
    inputs: a state's; `lo` and `exponent` of the quantization are read.
    front_end: from waveforms to features.
    input_bits: of the quantized features.

  Returns:
    All clips in their order.

  Raises:
    UserError: the split is empty.
  """
  lo, exponent = inputs['lo'], inputs['exponent']
  pieces, labels = [], []
  for batch in pipeline.evaluation_batches(source, batch_size=_BATCH):
    q = _quantize(
      batch['audio'], lo, exponent, front_end=front_end, bits=input_bits
    )
    pieces.append(np.asarray(q)[batch['mask']])
    labels.append(batch['label'][batch['mask']])
  return QuantizedSplit(np.concatenate(pieces), np.concatenate(labels))


@functools.partial(jax.jit, static_argnames=('front_end', 'bits'))
def _quantize(audio, lo, exponent, *, front_end, bits):
  """From `[B, S]` to uint8 `[B, T, F]`."""
  x = features.extract(audio, front_end)
  return features.quantize_by(x, lo, exponent, bits)


class Evaluator:
  """Evaluates states of one network; compiles once."""

  def __init__(self, model: nn.Module):
    """Makes it.

    Args:
      model: the network, with the accumulators to evaluate.
    """
    self._logits, self._telemetry = steps.make_evaluation_step(model)

  def logits(self, state: state_lib.TrainState, q: np.ndarray) -> np.ndarray:
    """Logits of a split.

    Args:
      state: with current deployed constants.
      q: quantized features, uint8 `[n, T, F]`.

    Returns:
      `[n, N]`.
    """
    variables = state.variables()
    return np.concatenate([
      np.asarray(self._logits(variables, batch))[:count]
      for batch, count in _batches(q)
    ])

  def logits_and_telemetry(
    self, state: state_lib.TrainState, q: np.ndarray
  ) -> tuple[np.ndarray, dict[str, dict[str, int]]]:
    """Logits as of `logits`, and counts of overflow by the layer's path."""
    variables = state.variables()
    collected = []
    total: dict[str, dict[str, int]] = {}
    for batch, count in _batches(q):
      logits, collections = self._telemetry(variables, batch)
      collected.append(np.asarray(logits)[:count])
      counts = jax.device_get(collections.get('telemetry', {}))
      for path, layer in _by_path(counts):
        sums = total.setdefault(path, {})
        for name, of_clip in layer.items():
          # Python integers: the counts of a large split pass 32 bits.
          number = int(of_clip[:count].sum(dtype=np.int64))
          sums[name] = sums.get(name, 0) + number
    return np.concatenate(collected), total


def _batches(q: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
  """Batches of one shape, padded with zeros, and their numbers of clips."""
  for start in range(0, len(q), _BATCH):
    batch = q[start : start + _BATCH]
    padding = [(0, _BATCH - len(batch))] + [(0, 0)] * (q.ndim - 1)
    yield np.pad(batch, padding), len(batch)


def _by_path(tree: Mapping[str, Any], path: tuple[str, ...] = ()):
  """(path, counts) of all layers."""
  for name, branch in tree.items():
    if name == 'counts':
      for counts in branch:
        yield '/'.join(path), counts
    else:
      yield from _by_path(branch, (*path, name))


def split_results(
  *,
  deployed: Evaluator,
  exact: Evaluator,
  state: state_lib.TrainState,
  split: QuantizedSplit,
  classes: int,
  registers: Mapping[str, Any],
) -> dict[str, Any]:
  """Everything that is told about one split.

  Args:
    deployed: with the accumulators that the network is deployed on.
    exact: with accumulators of the same widths that never overflow.
    state: with current deployed constants.
    split: the split.
    classes: how many there are.
    registers: the deployed accumulator by the layer's path.

  Returns:
    For JSON: clips, accuracies, changed decisions, which clips are right (see
    `unpack`) with either register, confusion, overflow.
  """
  labels = split.labels
  logits, counts = deployed.logits_and_telemetry(state, split.q)
  chosen = logits.argmax(-1)
  # A float network has no register, and two programs round it differently.
  chosen_exact = chosen
  if exact is not deployed:
    chosen_exact = exact.logits(state, split.q).argmax(-1)
  return {
    'clips': len(labels),
    'accuracy_exact': float(np.mean(chosen_exact == labels)),
    'accuracy_deployed': float(np.mean(chosen == labels)),
    'changed_decisions': int(np.sum(chosen != chosen_exact)),
    'right_exact': _pack(chosen_exact == labels),
    'right_deployed': _pack(chosen == labels),
    'confusion': metrics.confusion_matrix(labels, chosen, classes).tolist(),
    'overflow': [
      {
        'path': path,
        'bits': register.bits,
        'overflow_mode': register.overflow_mode,
        'decision_flip': None,
        'decisions': None,
        **counts[path],
        **_rates(counts[path]),
      }
      for path, register in registers.items()
      if path in counts
    ],
  }


def _rates(counts: Mapping[str, int]) -> dict[str, float]:
  """Overflow for each output (`docs/arithmetic.md`, section 4)."""
  outputs = max(counts['outputs'], 1)
  overflows = counts['persistent'] + counts['transient']
  return {
    'overflow_rate': overflows / outputs,
    'overflow_magnitude': counts['magnitude'] / outputs,
  }


def _pack(right: np.ndarray) -> str:
  return base64.b64encode(np.packbits(right).tobytes()).decode()


def unpack(text: str, clips: int) -> np.ndarray:
  """Which clips are right, bool `[clips]`, from the text of the results."""
  packed = np.frombuffer(base64.b64decode(text), np.uint8)
  return np.unpackbits(packed, count=clips).astype(bool)
