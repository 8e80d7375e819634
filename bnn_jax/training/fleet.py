"""Many small trainings at once on one accelerator.

A network of keyword spotting leaves an accelerator idle. Here the clips stay
in its memory, the update of training is vmapped over members, and an epoch is
one program. Members differ in their seeds, in what is done to waveforms, and
in the numbers of `TRACED`; all else they share, above all the network. A
member sees the batches that `loop.train` shows to its seed.

Shape letters: M members, U different streams of batches, B batch.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import functools
import itertools
from typing import Any

import jax
from jax import lax
import ml_collections
import numpy as np

from bnn_jax import errors
from bnn_jax.data import on_device
from bnn_jax.data import pipeline
from bnn_jax.data import source as source_lib
from bnn_jax.training import checks
from bnn_jax.training import inputs
from bnn_jax.training import objective as objective_lib
from bnn_jax.training import setup
from bnn_jax.training import state as state_lib
from bnn_jax.training import steps as steps_lib
from bnn_jax.training import teachers

# Numbers that a program takes as arguments, so that members may differ in them.
TRACED = (
  'optimizer.learning_rate', 'optimizer.latent_learning_rate',
  'optimizer.weight_decay', 'optimizer.gradient_norm',
  'optimizer.label_smoothing', 'penalty.weight', 'penalty.margin',
  'penalty.final', 'penalty.bound', 'penalty.gain', 'distillation.weight',
  'distillation.temperature',
)
# What chooses and changes the clips of a batch.
DRAWN = (
  'seed', 'augmentation.resample', 'augmentation.time_shift_ms',
  'augmentation.attenuation_db', 'augmentation.background_frequency',
  'augmentation.background_volume',
)


def train(
  configs: Sequence[ml_collections.ConfigDict],
  source: source_lib.Source,
  clips: on_device.Clips,
  teacher: objective_lib.Teacher | None = None,
  *,
  strict: bool = True,
) -> Iterator[tuple[state_lib.TrainState, list[dict[str, float]]]]:
  """Trains a member for each configuration.

  Args:
    configs: M of them, equal but for `TRACED`, `DRAWN` and their names.
    source: the training split.
    clips: the same, in memory.
    teacher: of all members; by default the one of their configuration.
    strict: stop at a loss that is not finite; otherwise the other members go
      on, and the caller finds it among the metrics.

  Yields:
    After each epoch, the state of all members, with a leading axis M, and the
    mean metrics of each. The state is gone once the next one is asked for.

  Raises:
    UserError: a bad configuration, members that cannot share a program, or a
      loss that is not finite.
  """
  if not configs:
    raise errors.UserError('There is nothing to train: name a configuration.')
  _check_shared(configs)
  for config in configs:
    checks.check_training(config)
    pipeline.check_training(
      len(source), config.training.batch_size, config.seed
    )
  common = configs[0]
  batch_size = common.training.batch_size
  epoch_steps = len(source) // batch_size
  steps = common.training.epochs * epoch_steps
  states = _start(configs, steps, source)
  streams = [tuple(_at(config, key) for key in DRAWN) for config in configs]
  distinct = sorted(set(streams), key=streams.index)
  place = np.array([distinct.index(stream) for stream in streams])
  first = np.array([streams.index(stream) for stream in distinct])
  teacher = teacher or teachers.load(common, member(states.inputs, 0))
  epoch_of = _make_epoch(common, steps, place, first, teacher)
  traced = {
    key: np.array([_at(config, key) for config in configs], np.float32)
    for key in TRACED
  }
  clips = jax.device_put(clips)
  orders = _orders([configs[i] for i in first], source, epoch_steps)
  order = next(orders)
  for epoch in range(common.training.epochs):
    states, observed = epoch_of(states, traced, clips, order)
    # The host draws what comes next while the device computes.
    order = next(orders)
    observed = jax.device_get(observed)
    values = [member(observed, i).compute() for i in range(len(configs))]
    if strict:
      _check_finite(values, configs, epoch)
    yield states, values


def program(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """What the members of one call of `train` share, for comparison."""
  return _with(config, dict.fromkeys((*TRACED, *DRAWN, 'name'))).to_dict()


def member(tree: Any, index: int) -> Any:
  """What one member has of a tree with a leading axis M."""
  return jax.tree.map(lambda value: value[index], tree)


def _make_epoch(common, steps, place, first, teacher):
  """The program of one epoch.

  Args:
    common: a configuration, for what all share.
    steps: of the whole training.
    place: `[M]` the stream of each member.
    first: `[U]` the first member of each stream.
    teacher: of all members.
  """
  network = setup.model(common)
  read = jax.vmap(setup.input_step(common))
  gather = jax.vmap(on_device.batch, in_axes=(None, 0))

  @jax.vmap
  def update(traced, state, q, labels):
    config = _with(common, traced)
    return setup.update_step(config, network, steps, teacher)(state, q, labels)

  @functools.partial(
    jax.jit, donate_argnums=0, compiler_options=steps_lib.compiler_options()
  )
  def epoch_of(states, traced, clips, order):
    def step(states, order):
      batch = gather(clips, order)
      keys = jax.vmap(state_lib.TrainState.key)(states)
      inputs_of = jax.tree.map(lambda value: value[first], states.inputs)
      q = read(inputs_of, keys[first], batch['audio'])
      return update(traced, states, q[place], batch['label'][place])
    states, observed = lax.scan(step, states, order)
    return states, jax.tree.map(lambda v: v.sum(0), observed)

  return epoch_of


def _orders(configs, source, epoch_steps) -> Iterator[on_device.Order]:
  """`[steps, U, B]` for one epoch after the other."""
  streams = zip(*(
    on_device.orders(
      source, batch_size=config.training.batch_size, seed=config.seed,
      augmentation=setup.augmentations(config),
    )
    for config in configs
  ), strict=True)
  while True:
    yield _stack(
      [_stack(step) for step in itertools.islice(streams, epoch_steps)]
    )


def _start(configs, steps, source) -> state_lib.TrainState:
  common = configs[0]
  network, optimizer = setup.model(common), setup.optimizer(common, steps)
  shape = setup.input_shape(common)
  fresh = [
    state_lib.create(network, optimizer, seed=config.seed, **shape)
    for config in configs
  ]
  fitted = inputs.fit(
    source, front_end=setup.front_end(common),
    clips=common.training.input_clips, bits=common.model.input_bits,
    fitted=fresh[0].inputs,
  )
  return jax.device_put(
    _stack([state.replace(inputs=fitted) for state in fresh])
  )


def _stack(trees: Sequence[Any]) -> Any:
  return jax.tree.map(lambda *values: np.stack(values), *trees)


def _at(config: ml_collections.ConfigDict, key: str) -> Any:
  """The value at a dotted key."""
  return functools.reduce(lambda branch, name: branch[name], key.split('.'),
                          config)


def _with(
  config: ml_collections.ConfigDict, values: dict[str, Any]
) -> ml_collections.ConfigDict:
  """A copy with other values at dotted keys, of whatever type."""
  plain = config.to_dict()
  for key, value in values.items():
    *branches, name = key.split('.')
    branch = functools.reduce(lambda b, n: b[n], branches, plain)
    branch[name] = value
  return ml_collections.ConfigDict(plain, type_safe=False)


def _check_shared(configs: Sequence[ml_collections.ConfigDict]) -> None:
  first = program(configs[0])
  for config in map(program, configs[1:]):
    for branch, values in config.items():
      if values != first[branch]:
        names = _differing(branch, values, first[branch])
        raise errors.UserError(
          f'members that are trained together differ in {names}; they may '
          f'differ in {", ".join((*DRAWN, *TRACED))} only.'
        )


def _differing(branch: str, one: Any, other: Any) -> str:
  """The keys below a branch whose values differ."""
  if not isinstance(one, dict):
    return branch
  keys = sorted(key for key in {*one, *other} if one.get(key) != other.get(key))
  return ', '.join(f'{branch}.{key}' for key in keys)


def _check_finite(values, configs, epoch) -> None:
  for config, metrics in zip(configs, values, strict=True):
    if not np.isfinite(metrics['loss']):
      raise errors.UserError(
        f'the loss of seed {config.seed} is {metrics["loss"]} in epoch '
        f'{epoch + 1}; lower optimizer.learning_rate, penalty.weight or the '
        'weights of collaboration.'
      )
