"""A small network and a small split, for tests that need whole ones."""

from collections.abc import Callable

import jax
import numpy as np
import optax

from bnn_jax import features
from bnn_jax.data import source
from bnn_jax.models import speech_resnet
from bnn_jax.nn import accumulator as accumulator_lib
from bnn_jax.nn import integer
from bnn_jax.training import evaluator
from bnn_jax.training import inputs
from bnn_jax.training import state as state_lib

FRONT_END = features.FrontEnd(mel_bins=8, hop_ms=80.0)
SHAPE = {'frames': FRONT_END.frames(source.CLIP_SAMPLES), 'bins': 8}
SIZE = (
  speech_resnet.Stem(8, groups=2),
  (speech_resnet.Stage(8, 1), speech_resnet.Stage(12, 1, stride=2)),
)
# XLA's fastest way to a program.
COMPILATION = {
  'xla_backend_optimization_level': 0,
  'xla_llvm_disable_expensive_passes': True,
}
CLASSES = 5
REGISTER = accumulator_lib.Accumulator(4, 'wrap', 8)


def network(
  accumulator=REGISTER, variant='overflow', norm_variant='fused',
  padding='same', **fields,
) -> speech_resnet.SpeechResNet:
  """The network; its size is in the table for a moment only."""
  speech_resnet.SIZES['tiny'] = SIZE
  try:
    return speech_resnet.build(
      'tiny', variant, CLASSES, accumulator=accumulator,
      stream=integer.StreamFormat(8, 4), levels=3, norm_variant=norm_variant,
      weight_gradient='hard_tanh', activation_gradient='approx_sign',
      padding=padding, **fields,
    )
  finally:
    del speech_resnet.SIZES['tiny']


def jitted(function: Callable) -> Callable:
  """What is run once or twice, compiled as quickly as can be."""
  return jax.jit(function, compiler_options=COMPILATION)


def initialized(model, x, *arguments, **options) -> dict:
  """The variables of a network, or of a layer, that reads x."""
  init = jitted(lambda key, x: model.init(key, x, *arguments, **options))
  return dict(init(jax.random.key(0), x))


class Split:
  """Noise of a loudness and a pitch by its class."""

  class_names = tuple('abcde')
  background: tuple[np.ndarray, ...] = ()
  notes = ()

  def __init__(self, clips: int):
    self._clips = clips

  def __len__(self) -> int:
    return self._clips

  def __getitem__(self, index: int) -> source.Clip:
    random = np.random.default_rng(index)
    label = index % CLASSES
    tone = np.sin(np.arange(source.CLIP_SAMPLES) * (0.1 + 0.2 * label))
    noise = random.normal(0, 0.3, source.CLIP_SAMPLES)
    audio = (3000 * (tone + noise)).astype(np.int16)
    return source.Clip(audio, label, f'{index}')


def state(model, seed: int = 0, moved: bool = True) -> state_lib.TrainState:
  """A fitted and deployed state, its parameters moved off their start."""
  fresh = state_lib.create(model, optax.adam(0.1), seed=seed, **SHAPE)
  fitted = inputs.fit(
    Split(10), front_end=FRONT_END, clips=10, bits=8, fitted=fresh.inputs
  )
  random = np.random.default_rng(seed)

  def move(path, value):
    if not moved or path[-1].key == 'latent':
      return value
    return value + random.normal(0, 0.3, value.shape).astype(np.float32)

  params = jax.tree_util.tree_map_with_path(move, fresh.params)
  state = fresh.replace(inputs=fitted, params=params)
  return evaluator.deployer(model, **SHAPE)(state)
