"""Whether all engines give a workdir's network the same integers."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import hashlib
import itertools
import pathlib
from typing import Any
from typing import NamedTuple

import ml_collections
import numpy as np

from bnn_jax.export import c_engine
from bnn_jax.export import engines as engines_lib
from bnn_jax.export import files
from bnn_jax.jobs import c_front_end
from bnn_jax.jobs import export as export_job
from bnn_jax.jobs import graph
from bnn_jax.jobs import settings
from bnn_jax.training import evaluate
from bnn_jax.training import evaluator
from bnn_jax.training import setup

GRAPH = 'training graph'
# Clips of which every layer is compared where that is asked for.
DEEP_CLIPS = 100
# Clips of each split of which the front ends are compared.
FRONT_END_CLIPS = 100

Values = Mapping[str, np.ndarray]


class Difference(NamedTuple):
  """The first value in which two engines differ.

  Attributes:
    clip: its number in the split's order.
    layer: of the first array that differs for this clip.
    place: index within this array.
    values: of the two engines; integers, unless one of them is wrong.
  """

  clip: int
  layer: str
  place: tuple[int, ...]
  values: tuple[Any, Any]


def run(
  config: ml_collections.ConfigDict,
  folder: pathlib.Path,
  *,
  splits: Sequence[str] = (),
  limit: int | None = None,
  deep: bool = False,
  allow_missing: bool = False,
  tell: Callable[[str], None] = print,
) -> bool:
  """Compares every logit of the test splits between all engines.

  q is computed once and handed to all: the training graph in evaluation mode,
  from the checkpoint that was exported, and each engine of
  `bnn_jax.export.engines`, from the export alone. What no engine computes is
  compared, too: the settings of the export with those of the checkpoint, and
  its front end in C with that in NumPy.

  Args:
    config: the configuration that was exported.
    folder: the workdir.
    splits: their names; all test splits by default.
    limit: clips of each split; all by default.
    deep: compare every layer of the first clips, too.
    allow_missing: accept that an engine cannot run here.
    tell: gets each line for the user.

  Returns:
    Whether all is equal, and all engines ran or need not.

  Raises:
    UserError: there is no export, it is damaged, does not tell its checkpoint
      or is of another network, or there is no such checkpoint.
  """
  path = export_job.existing_path(config, folder)
  exported = files.read(path)
  step = settings.step(path, exported)
  missing = {
    name: engine.missing() for name, engine in engines_lib.ENGINES.items()
  }
  state = evaluate.restore(config, folder, step).state
  found, wanted = settings.exported(exported), settings.expected(config, state)
  settings.check_sizes(path, found, wanted)
  settings.check_front_end(path, exported)
  model = setup.model(config)
  graph.check_layers(path, exported, model, state.variables())
  q, clips = quantized(config, state.inputs, splits, limit)
  names = [layer.name for layer in exported.layers]
  # Not cast to integers: a fraction is a difference as well.
  logits = {GRAPH: evaluator.Evaluator(model).logits(state, q)}
  logits |= {
    name: engine.logits(path, q)
    for name, engine in engines_lib.ENGINES.items() if missing[name] is None
  }

  def layers(engine: str, q: np.ndarray) -> Values | None:
    if engine == GRAPH:
      return graph.layers(model, state.variables(), q, names)
    made = engines_lib.ENGINES[engine].intermediates
    return None if made is None else made(path, q)

  tell(f'{path}: step {step}, {len(q)} clips')
  if missing['C'] is None and (note := c_engine.note(path)):
    tell(note)
  equal = compare_logits(logits, layers, q, names, clips, tell)
  if deep:
    equal &= compare_layers(logits, layers, q, names, clips, tell)
  equal &= settings.compare(found, wanted, tell)
  if exported.front_end.get('kind') == 'log_mel' and missing['C'] is None:
    samples = some_samples(config, splits, limit)
    equal &= c_front_end.compare(path, exported, samples, tell)
  for name, values in logits.items():
    tell(f'{name}: SHA-256 of its logits: {digest(values)}')
  for name, reason in missing.items():
    if reason is not None:
      tell(f'{name} was not compared: {reason}')
      equal &= allow_missing
  return equal


def some_samples(
  config: ml_collections.ConfigDict,
  splits: Sequence[str] = (),
  limit: int | None = None,
) -> np.ndarray:
  """The first clips of each split, at most `FRONT_END_CLIPS`.

  Args:
    config: names the data.
    splits: their names; all test splits by default.
    limit: clips of each split.

  Returns:
    int16 `[n, S]`.
  """
  clips = []
  for name in splits or setup.test_splits(config):
    split = setup.open_split(config, name)
    count = min(len(split), limit or FRONT_END_CLIPS, FRONT_END_CLIPS)
    clips += [split[i].audio for i in range(count)]
  return np.stack(clips)


def quantized(
  config: ml_collections.ConfigDict,
  inputs: Mapping[str, Any],
  splits: Sequence[str] = (),
  limit: int | None = None,
) -> tuple[np.ndarray, list[str]]:
  """The clips of some splits.

  Args:
    config: names the data and the front end.
    inputs: `lo` and `exponent` of the quantization.
    splits: their names; all test splits by default.
    limit: clips of each split; all by default.

  Returns:
    q, uint8 `[n, T, F]`, and what each clip is called.
  """
  pieces, names = [], []
  for name in splits or setup.test_splits(config):
    q = evaluator.quantize_split(
      setup.open_split(config, name), inputs,
      front_end=setup.front_end(config), input_bits=config.model.input_bits,
    ).q[:limit]
    pieces.append(q)
    names += [f'{name}[{i}]' for i in range(len(q))]
  return np.concatenate(pieces), names


def compare_logits(
  logits: Values,
  layers: Callable[[str, np.ndarray], Values | None],
  q: np.ndarray,
  names: Sequence[str],
  clips: Sequence[str],
  tell: Callable[[str], None],
) -> bool:
  """Compares each pair of engines and tells the first difference.

  Args:
    logits: `[n, N]` by engine.
    layers: what every layer of an engine gives, where it tells.
    q: uint8 `[n, T, F]`.
    names: of the layers, in the order of their computation.
    clips: their names.
    tell: gets each line for the user.

  Returns:
    Whether all are equal.
  """
  equal = True
  for a, b in itertools.combinations(logits, 2):
    unequal = logits[a] != logits[b]
    tell(f'{a} vs {b}: mismatches: {unequal.sum()} of {unequal.size}')
    if unequal.any():
      equal = False
      clip = int(np.argwhere(unequal)[0][0])
      one = q[clip : clip + 1]
      found = first_difference(layers(a, one), layers(b, one), names)
      if found is None:
        last = {names[-1]: logits[a][clip : clip + 1]}
        other = {names[-1]: logits[b][clip : clip + 1]}
        found = first_difference(last, other, names[-1:])
      if found is not None:
        _tell_difference(found, clips[clip], tell)
  return equal


def compare_layers(
  logits: Values,
  layers: Callable[[str, np.ndarray], Values | None],
  q: np.ndarray,
  names: Sequence[str],
  clips: Sequence[str],
  tell: Callable[[str], None],
) -> bool:
  """Compares what every layer gives for the first clips.

  Args:
    logits: by engine; of them only the names are used.
    layers: what every layer of an engine gives, where it tells.
    q: uint8 `[n, T, F]`.
    names: of the layers, in the order of their computation.
    clips: their names.
    tell: gets each line for the user.

  Returns:
    Whether all are equal.
  """
  some = q[:DEEP_CLIPS]
  told = {engine: layers(engine, some) for engine in logits}
  made = {engine: values for engine, values in told.items() if values}
  equal = True
  for a, b in itertools.combinations(made, 2):
    unequal = sum(
      int(np.sum(made[a][n] != made[b][n])) for n in names
    )
    size = sum(made[a][n].size for n in names)
    tell(f'{a} vs {b}, all layers: mismatches: {unequal} of {size}')
    found = first_difference(made[a], made[b], names)
    if found is not None:
      equal = False
      _tell_difference(found, clips[found.clip], tell)
  return equal


def first_difference(
  a: Values | None, b: Values | None, names: Sequence[str]
) -> Difference | None:
  """The first layer of the first clip in which two engines differ.

  Args:
    a: what layers of one engine give, each `[n, ...]`; None if it is not told.
    b: the same of another engine.
    names: the layers, in the order of their computation.

  Returns:
    None where nothing differs or nothing is told.
  """
  if a is None or b is None:
    return None
  found = [
    (int(np.argwhere(a[name] != b[name])[0][0]), order)
    for order, name in enumerate(names) if (a[name] != b[name]).any()
  ]
  if not found:
    return None
  clip, order = min(found)
  name = names[order]
  place = tuple(map(int, np.argwhere(a[name][clip] != b[name][clip])[0]))
  values = a[name][clip][place].item(), b[name][clip][place].item()
  return Difference(clip, name, place, values)


def _tell_difference(
  found: Difference, clip: str, tell: Callable[[str], None]
) -> None:
  # All digits of a fraction, and none behind the point of an integer.
  one, other = (f'{value:.17g}' for value in found.values)
  tell(
    f'  first: clip {clip}, layer {found.layer}, index {list(found.place)}: '
    f'{one} and {other}'
  )


def digest(logits: np.ndarray) -> str:
  """SHA-256 of logits as little-endian int32, clip by clip.

  Of those that are no such integers it is the one of their float64.
  """
  with np.errstate(invalid='ignore'):
    whole = logits.astype('<i4')
  if not np.array_equal(whole, logits):
    return hashlib.sha256(logits.astype('<f8').tobytes()).hexdigest()
  return hashlib.sha256(whole.tobytes()).hexdigest()
