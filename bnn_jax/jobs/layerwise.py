"""Calibrates the integers of a network layer by layer, under a guard.

In the order of the calls, with all earlier layers calibrated, the constants of
each layer are searched by `bnn_jax.training.calibration`. What is found is
kept where the whole network does not get worse on clips of other speakers.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any
from typing import NamedTuple

from flax import traverse_util
import numpy as np

from bnn_jax.export import specs
from bnn_jax.jobs import graph
from bnn_jax.training import calibration

KINDS = ('preload', 'normalization', 'threshold', 'classifier')

# Deployed integers by path and name, such as ('stem', 'preload').
Constants = dict[tuple[str, ...], np.ndarray]


class Judgement(NamedTuple):
  """How good a network is.

  Attributes:
    cross_entropy: mean, in nats.
    accuracy: share of the clips.
  """

  cross_entropy: float
  accuracy: float


@dataclasses.dataclass
class Count:
  """What became of one kind of constants.

  Attributes:
    channels: that were searched.
    changed: those that have other constants now.
    layers: that were searched.
    refused: those whose change the guard refused.
  """

  channels: int = 0
  changed: int = 0
  layers: int = 0
  refused: int = 0


class Outcome(NamedTuple):
  """What a calibration gives.

  Attributes:
    deployed: the collection, nested.
    counts: by kind.
    before: the network as it was.
    after: the same with the new integers.
  """

  deployed: dict[str, Any]
  counts: dict[str, Count]
  before: Judgement
  after: Judgement


class _Proposal(NamedTuple):
  """What a search found for a layer.

  Attributes:
    kind: of `KINDS`.
    constants: the new ones.
    changed: bool `[C]`.
  """

  kind: str
  constants: Constants
  changed: np.ndarray


def observed_names(layers: Sequence[specs.Layer]) -> list[str]:
  """The layers of which a search reads something.

  Args:
    layers: those of the network, not folded.
  """
  names = []
  for layer in layers:
    if type(layer) in _SEARCHES:
      names.append(layer.name)
    if isinstance(layer, specs.ShiftBatchNorm | specs.RSign):
      names += layer.inputs
  return [*dict.fromkeys(names)]


def calibrate(
  layers: Sequence[specs.Layer],
  variables: Mapping[str, Any],
  *,
  narrow: graph.Observer,
  exact: graph.Observer,
  judge: Callable[[dict[str, Any]], Judgement],
) -> Outcome:
  """Calibrates a network.

  Args:
    layers: those of the network in the order of their calls, not folded.
    variables: its collections, with the present `deployed`.
    narrow: the network on its registers, on the clips to search by.
    exact: the same on registers that never overflow.
    judge: what the narrow network does on other clips with a collection
      `deployed`.

  Returns:
    The new integers.
  """
  search = _Search(layers, variables, narrow, exact)
  before = best = judge(search.deployed())
  counts = {kind: Count() for kind in KINDS}
  for proposal in search.proposals():
    count = counts[proposal.kind]
    count.layers += 1
    count.channels += len(proposal.changed)
    if not proposal.changed.any():
      continue
    judged = judge(search.deployed(proposal.constants))
    if judged.cross_entropy <= best.cross_entropy:
      search.keep(proposal.constants)
      count.changed += int(proposal.changed.sum())
      best = judged
    else:
      count.refused += 1
  return Outcome(search.deployed(), counts, before, best)


class _Search:
  """The constants so far, and what may replace them."""

  def __init__(self, layers, variables, narrow, exact):
    self._layers = layers
    self._variables = dict(variables)
    self._narrow, self._exact = narrow, exact
    self._constants: Constants = {
      path: np.asarray(value) for path, value in
      traverse_util.flatten_dict(dict(variables['deployed'])).items()
    }

  def deployed(self, changed: Constants | None = None) -> dict[str, Any]:
    """The collection, with some changes."""
    return traverse_util.unflatten_dict(self._constants | (changed or {}))

  def keep(self, changed: Constants) -> None:
    """Makes changes that hold for all that is proposed from now on."""
    self._constants |= changed

  def proposals(self) -> Iterator[_Proposal]:
    """Those of each layer, made when they are asked for."""
    for layer in self._layers:
      if type(layer) in _SEARCHES:
        proposal = _SEARCHES[type(layer)](self, layer)
        if proposal is not None:
          yield proposal

  def preload(self, layer: specs.Conv) -> _Proposal | None:
    """That of a register that can overflow and is read by a shift alone."""
    path = (*layer.name.split('/'), 'preload')
    norms = [one for one in self._layers if layer.name in one.inputs]
    if layer.overflow_free or path not in self._constants or not all(
      isinstance(one, specs.ShiftBatchNorm) for one in norms
    ):
      return None
    register = layer.accumulator
    half = 2 ** (register.bits - 1)
    stored = self._constants[path]
    old = np.clip(stored, -half, half - 1)
    sums = self._narrow.exact_sums(self._now(), layer.name, register.bits) - old
    new = calibration.preload(
      sums, old, bits=register.bits, overflow_mode=register.overflow_mode
    )
    # Where nothing is better, also what a wider register would read stays.
    constants = {path: np.where(new == old, stored, new)}
    change = (constants[path] - stored) * (1 if register.unit == 'dot' else 2)
    for norm in norms:
      shift, bias = self._of(norm, 'shift', 'bias')
      constants[(*norm.name.split('/'), 'bias')] = calibration.moved_bias(
        bias, shift, change
      )
    return _Proposal('preload', constants, new != old)

  def normalization(self, layer: specs.ShiftBatchNorm) -> _Proposal:
    """That of any normalization, as what it reads may have changed."""
    old = self._of(layer, 'shift', 'bias')
    new = calibration.normalization(
      self._narrow.outputs(self._now(), layer.inputs[0]),
      self._exact.outputs(self._variables, layer.name),
      *old, bits=layer.stream.bits,
    )
    return self._proposal('normalization', layer, ('shift', 'bias'), old, new)

  def threshold(self, layer: specs.RSign) -> _Proposal:
    """That of the signs of a stream."""
    old = self._of(layer, 'theta')
    new = calibration.threshold(
      self._narrow.outputs(self._now(), layer.inputs[0]),
      self._exact.outputs(self._variables, layer.name) > 0,
      *old,
    )
    return self._proposal('threshold', layer, ('theta',), old, [new])

  def classifier(self, layer: specs.Classifier) -> _Proposal:
    """That of the biases of logits."""
    old = self._of(layer, 'bias')
    new = calibration.classifier_bias(
      self._narrow.outputs(self._now(), layer.name),
      self._exact.outputs(self._variables, layer.name),
      *old,
    )
    return self._proposal('classifier', layer, ('bias',), old, [new])

  def _now(self) -> dict[str, Any]:
    return self._variables | {'deployed': self.deployed()}

  def _of(self, layer: specs.Layer, *names: str) -> list[np.ndarray]:
    path = layer.name.split('/')
    return [self._constants[(*path, name)] for name in names]

  def _proposal(self, kind, layer, names, old, new) -> _Proposal:
    path = layer.name.split('/')
    constants = {
      (*path, name): value for name, value in zip(names, new, strict=True)
    }
    changed = np.any(np.not_equal(old, new), axis=0)
    return _Proposal(kind, constants, changed)


_SEARCHES: dict[type, Callable[[_Search, Any], _Proposal | None]] = {
  specs.Conv: _Search.preload,
  specs.ShiftBatchNorm: _Search.normalization,
  specs.RSign: _Search.threshold,
  specs.Classifier: _Search.classifier,
}
