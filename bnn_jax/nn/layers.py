"""Layers of a binarized network, as pure-functional Flax modules.

A layer with `deployed_constants` runs in one of two ways. In training it
computes with its parameters and batch statistics, but on the very integers of
the deployed network, with straight-through derivatives. In evaluation it reads
the integers of the variable collection `deployed` and nothing else; they are
made by `bnn_jax.nn.deployment`.

Observations leave through `sow`, only where the caller makes the collection
mutable: `sums` (exact sums as a share of the register's range, differentiable),
`margins` (what signs read, less their thresholds, differentiable) and
`telemetry` (counts of overflow).

Shape letters: B batch, T frames, F mel bins, C channels, N outputs.
"""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np

from bnn_jax import errors
from bnn_jax.nn import accumulator as accumulator_lib
from bnn_jax.nn import binarize
from bnn_jax.nn import constants
from bnn_jax.nn import deployment
from bnn_jax.nn import geometry as geometry_lib
from bnn_jax.nn import integer
from bnn_jax.nn import marks
from bnn_jax.nn import straight_through

# Name of every latent weight: the real value whose sign is the weight.
LATENT = 'latent'

# Integer logits that one unit of a classifier's bias parameter stands for.
BIAS_UNIT = 1024

# Sums that one unit of a preload parameter stands for.
PRELOAD_UNIT = 16

# Name of the random stream that opens the gates of `BinaryConv`.
GATES = 'gates'

# Name of the collection that widens the ranges of `BinaryConv`.
RANGES = 'ranges'

# Largest magnitude of a classifier's sums (`docs/arithmetic.md`, section 9).
_CLASSIFIER_LIMIT = 2**23

Accumulators = accumulator_lib.Accumulator | accumulator_lib.LayerAccumulators


def latent_init(key, shape, dtype=jnp.float32):
  """Uniform in [-0.1, 0.1], `shape`."""
  return jax.random.uniform(key, shape, dtype, -0.1, 0.1)


def _observe(
  layer: nn.Module,
  accumulation: accumulator_lib.Accumulation,
  accumulator: accumulator_lib.Accumulator,
  odd_words: int,
  following: Callable[[jax.Array], jax.Array] | None,
) -> None:
  """Sows the exact sums and the counts of one accumulation."""
  if layer.is_initializing():
    return
  if layer.is_mutable_collection('sums'):
    relative = accumulator_lib.relative_sum(
      accumulation.exact, accumulator, odd_words
    )
    layer.sow('sums', 'relative', relative)
  if accumulation.telemetry is not None:
    counts = accumulation.telemetry._asdict()
    if following is not None:
      flips = following(accumulation.result) != following(accumulation.exact)
      axes = tuple(range(1, flips.ndim))
      counts['decision_flip'] = jnp.sum(flips.astype(jnp.int32), axes)
      # Parts of a convolution share the bits behind their common stream.
      decisions = jnp.int32(flips[0].size)
      counts['decisions'] = jnp.broadcast_to(decisions, flips.shape[:1])
    layer.sow('telemetry', 'counts', counts)


class BinaryConv(nn.Module):
  """Convolution of +-1 inputs with +-1 weights through a narrow accumulator.

  A preload is where a channel's register starts. It costs nothing in silicon,
  and the mean of the normalization behind takes it out again; learned, it
  moves the sums of a channel to the middle of the register's range.

  A gate lets a channel of a batch pass its narrow register, or its exact sum.
  In training, where there is a random stream `GATES`, each is narrow with a
  probability that rises from 0 to 1 over the first `gate_share` of the steps:
  the network meets overflow a channel at a time.

  A training may give the layer, in the collection `RANGES`, the `factor` by
  which its range is still wider than its register's.

  Attributes:
    features: N, output channels.
    kernel_size: one size for each spatial axis; () makes a dense layer over
      the channels at each position.
    strides: one for all axes, or one each.
    padding: 'SAME', 'VALID' or (before, after) pairs; filled with -1.
    dilation: one for all axes, or one each.
    groups: channel groups; the number of input channels makes it depthwise.
    accumulator: the register, for all layers or by the layer's path.
    weight_gradient: pseudo-gradient of the weights' sign.
    learn_preload: learn a preload for each channel.
    gate_share: of the steps; 0 for registers that are narrow at once.
  """

  features: int
  kernel_size: Sequence[int]
  strides: int | Sequence[int] = 1
  padding: geometry_lib.Padding = 'SAME'
  dilation: int | Sequence[int] = 1
  groups: int = 1
  accumulator: Accumulators = accumulator_lib.Accumulator()
  weight_gradient: str = 'hard_tanh'
  learn_preload: bool = False
  gate_share: float = 0.0

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    *,
    following: Callable[[jax.Array], jax.Array] | None = None,
    train: bool = False,
    progress: float | jax.Array = 1.0,
  ) -> jax.Array:
    """Convolves.

    Args:
      x: `[B, *spatial, C]` of +-1.
      following: gives the bits that the following threshold makes of a
        result, of a dense layer `[B * positions, N]`; counts the decisions
        that overflow changed.
      train: compute with parameters, otherwise with deployed integers.
      progress: share of training done.

    Returns:
      `[B, *output, N]` float32 integers.
    """
    shape = (*self.kernel_size, x.shape[-1] // self.groups, self.features)
    latent = self.param(LATENT, latent_init, shape)
    w = binarize.sign(latent, self.weight_gradient, progress)
    accumulator = self.accumulator.at('/'.join(self.path))
    counting = self.is_mutable_collection('telemetry')
    preload = self._preload(accumulator, train)
    accumulation = accumulator_lib.accumulate(
      x if self.kernel_size else x.reshape(-1, x.shape[-1]),
      w, accumulator, lax.stop_gradient(preload),
      strides=self.strides, padding=self.padding,
      dilation=self.dilation, groups=self.groups,
      with_telemetry=counting and not self.is_initializing(),
      with_exact=self.is_mutable_collection('sums') or self._is_gated(train)
      or self._is_widened(train),
    )
    odd_words = accumulator_lib.odd_words(shape, accumulator.simd)
    moved = accumulation
    if preload is not None:
      # The penalty alone moves a preload: all else does not depend on it, and
      # the rounding of a gradient that should be 0 would drive it about.
      step = 1 if accumulator.unit == 'dot' else 2
      only_gradient = step * (preload - lax.stop_gradient(preload))
      moved = accumulation._replace(exact=accumulation.exact + only_gradient)
    _observe(self, moved, accumulator, odd_words, following)
    if self._is_widened(train):
      accumulation = self._widened(accumulation, accumulator, odd_words)
    results = self._gated(accumulation, train, progress)
    if self.kernel_size:
      return results
    return results.reshape(*x.shape[:-1], self.features)

  def _preload(self, accumulator, train) -> jax.Array | None:
    """What the registers start at, `[N]`."""
    if not self.learn_preload:
      return None
    channels = (self.features,)
    parameter = self.param('preload', nn.initializers.zeros, channels)
    limits = accumulator.minimum, accumulator.maximum
    if not train:
      return jnp.clip(deployment.variable(self, 'preload', channels), *limits)
    real = PRELOAD_UNIT * parameter
    rounded = jnp.clip(jnp.floor(real + 0.5), *limits)
    return straight_through.straight_through(rounded, real)

  def _is_widened(self, train: bool) -> bool:
    return train and self.has_variable(RANGES, 'factor')

  def _widened(self, accumulation, accumulator, odd_words):
    """The accumulation of the range that the training gives the layer."""
    factor = self.get_variable(RANGES, 'factor')
    wide = accumulator_lib.widened(
      accumulation.exact, accumulator, odd_words, factor
    )
    return accumulation._replace(
      result=jnp.where(factor > 1, wide, accumulation.result)
    )

  def _is_gated(self, train: bool) -> bool:
    return train and bool(self.gate_share) and self.has_rng(GATES)

  def _gated(self, accumulation, train, progress) -> jax.Array:
    """The narrow result, or for some channels of a training the exact one."""
    if not self._is_gated(train):
      return accumulation.result
    share = jnp.minimum(progress / self.gate_share, 1.0)
    narrow = jax.random.bernoulli(
      self.make_rng(GATES), share, (self.features,)
    )
    return jnp.where(narrow, accumulation.result, accumulation.exact)

  def deployed_constants(
    self, params: dict[str, Any], statistics: dict[str, Any]
  ) -> dict[str, np.ndarray]:
    """Its variables of the collection `deployed`, from NumPy in float64."""
    del statistics
    if not self.learn_preload:
      return {}
    start = PRELOAD_UNIT * np.asarray(params['preload'], np.float64)
    # A register clips it, so that a narrower one can read it, too.
    return {'preload': constants.round_half_up(start).astype(np.int32)}


class BinaryDense(nn.Module):
  """Dense layer of +-1 inputs and weights through a narrow accumulator.

  Attributes:
    features: N, outputs.
    accumulator: the register, for all layers or by the layer's path.
    weight_gradient: pseudo-gradient of the weights' sign.
    gate_share: as of `BinaryConv`.
  """

  features: int
  accumulator: Accumulators = accumulator_lib.Accumulator()
  weight_gradient: str = 'hard_tanh'
  gate_share: float = 0.0

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    *,
    following: Callable[[jax.Array], jax.Array] | None = None,
    train: bool = False,
    progress: float | jax.Array = 1.0,
  ) -> jax.Array:
    """Multiplies.

    Args:
      x: `[..., K]` of +-1.
      following: as for `BinaryConv`.
      train: as for `BinaryConv`.
      progress: share of training done.

    Returns:
      `[..., N]` float32 integers.
    """
    product = BinaryConv(
      self.features, (), accumulator=self.accumulator,
      weight_gradient=self.weight_gradient, gate_share=self.gate_share,
      name='product',
    )
    return product(x, following=following, train=train, progress=progress)


class Thermometer(nn.Module):
  """Comparisons of each input value with ascending thresholds.

  The thresholds `[F, levels]` live in the collection `inputs`, which training
  fills once from a sample of its clips.

  Attributes:
    levels: T_h, thresholds of each mel bin.
    silence: frames of q = 0 before and after the clip.
  """

  levels: int
  silence: tuple[int, int] = (0, 0)

  @nn.compact
  def __call__(self, q: jax.Array) -> jax.Array:
    """Encodes.

    Args:
      q: `[B, T, F]` integers.

    Returns:
      `[B, T, F * levels]` of +-1, channel f * levels + t; T with silence.
    """
    q = jnp.pad(q, ((0, 0), self.silence, (0, 0)))
    bins = q.shape[-1]
    thresholds = self.variable(
      'inputs', 'thresholds', jnp.zeros, (bins, self.levels), jnp.int32
    )
    above = q.astype(jnp.int32)[..., None] >= thresholds.value
    bits = jnp.where(above, 1.0, -1.0)
    return bits.reshape(*q.shape[:-1], bins * self.levels)


class BinaryClassifier(nn.Module):
  """Sums over time and a dense layer of +-1 weights; exact, with a bias.

  In training the logits carry a learned positive factor, which is not
  deployed: it changes no decision.

  Attributes:
    classes: N.
    stream: format of the input.
  """

  classes: int
  stream: integer.StreamFormat = integer.StreamFormat()

  @nn.compact
  def __call__(self, r: jax.Array, *, train: bool) -> jax.Array:
    """Classifies.

    Args:
      r: `[B, *spatial, C]` integers of a stream.
      train: compute with parameters, otherwise with deployed integers.

    Returns:
      `[B, N]` logits: real in training, integers in evaluation.

    Raises:
      UserError: float32 could not hold every sum as an integer.
    """
    shape = (r.shape[-1], self.classes)
    positions = r[0, ..., 0].size
    self._check_width(shape[0] * positions)
    latent = self.param(LATENT, latent_init, shape)
    bias = self.param('bias', nn.initializers.zeros, (self.classes,))
    log_factor = self.param('log_factor', nn.initializers.zeros, ())
    w = binarize.sign(latent, 'hard_tanh')
    pooled = jnp.sum(r, axis=tuple(range(1, r.ndim - 1)))
    with marks.operands(1, self.stream.bits):
      sums = jnp.matmul(pooled, w, precision=lax.Precision.HIGHEST)
    if not train:
      deployed = deployment.variable(self, 'bias', (self.classes,))
      return sums + deployed.astype(sums.dtype)
    real_bias = BIAS_UNIT * bias
    rounded = jnp.floor(real_bias + 0.5)
    step = positions * 2.0**self.stream.fraction_bits * shape[0] ** 0.5
    logits = sums + straight_through.straight_through(rounded, real_bias)
    return logits * (jnp.exp(log_factor) / step)

  def _check_width(self, terms: int) -> None:
    """Refuses sums beyond 2^23; the bias may be as much again."""
    bits = self.stream.bits
    if terms * 2 ** (bits - 1) > _CLASSIFIER_LIMIT:
      raise errors.UserError(
        f'model.stream_bits={bits} is too wide for a classifier that sums '
        f'{terms} integers of the stream, which may pass 2^23; choose at most '
        f'{(_CLASSIFIER_LIMIT // terms).bit_length()}.'
      )

  def deployed_constants(
    self, params: dict[str, Any], statistics: dict[str, Any]
  ) -> dict[str, np.ndarray]:
    """Its variables of the collection `deployed`, from NumPy in float64."""
    del statistics
    bias = BIAS_UNIT * np.asarray(params['bias'], np.float64)
    return {'bias': constants.classifier_bias(bias)}
