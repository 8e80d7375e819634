"""What the configurations of all published methods have in common.

A string such as 'size=L,variant=binary,data=folder,data_dir=PATH' holds a size
and a variant of the method, and any option of `configs.kws` but `padding` and
`parts`. Data set and pipeline are those of `configs.kws`. The published network
has its published recipe, which each file quotes: what remains of ours is the
number of epochs, the input quantized to 8 bits, and, unless a file has others,
the shift by up to 100 ms and the mel scale from 20 to 7,600 Hz (from 0 to half
the sample rate in the libraries that BC-ResNet, BiFSMN and MatchboxNet use).
Where steps are quoted, their shares of the whole count. The binary networks are
trained as ours is.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

import ml_collections

from configs import kws
from configs import parse

VARIANTS = ('float', 'binary', 'overflow', 'binary_firstlast8')

# A norm of gradients that none comes near.
_NO_CLIPPING = 1e6
_THIRDS_OF_A_FIFTH = ((0.333, 0.2), (0.667, 0.04))
_THIRDS_OF_A_TENTH = ((0.333, 0.1), (0.667, 0.01))


@dataclasses.dataclass(frozen=True)
class Start:
  """A configuration, unlocked, to be changed by a method's file.

  Attributes:
    config: with the method's network.
    size: of the network.
    variant: of the network.
  """

  config: ml_collections.ConfigDict
  size: str
  variant: str

  @property
  def as_published(self) -> bool:
    """Whether it is the network of the paper."""
    return self.variant in ('float', 'paper')


def start(
  string: str,
  name: str,
  sizes: Sequence[str],
  variants: Sequence[str] = VARIANTS,
) -> Start:
  """Reads a config string.

  Args:
    string: options separated by commas.
    name: of the network.
    sizes: that can be asked for; the first is the default.
    variants: that can be asked for; the first is the default.

  Returns:
    The configuration of `configs.kws` with this network; of a binary variant
    without overflow, it has accumulators of 16 bits.

  Raises:
    ValueError: an option or value that does not exist.
  """
  own = {'size': parse.choice(*sizes), 'variant': parse.choice(*variants)}
  parsers = {
    k: v for k, v in kws.OPTIONS.items() if k not in ('padding', 'parts')
  } | own
  options = parse.options(string, parsers)
  variant = options.get('variant', variants[0])
  passed = [
    part for part in string.split(',')
    if part and part.partition('=')[0] not in own
  ]
  narrow = variant == 'overflow'
  passed.append(f'variant={"overflow" if narrow else "float"}')
  config = kws.get_config(','.join(passed)).unlock()
  config.name = f'{config.name}_{name}'
  config.model.name = name
  config.model.size = options.get('size', sizes[0])
  config.model.variant = variant
  config.model.parts = 1
  if not narrow and 'accumulator_bits' not in options:
    config.accumulator.bits = 16
  begun = Start(config, config.model.size, variant)
  _set_plain_recipe(begun)
  return begun


def _set_plain_recipe(begun: Start) -> None:
  """What published recipes have where they say nothing."""
  set_optimizer(
    begun, warmup_share=0.0, gradient_norm=_NO_CLIPPING, label_smoothing=0.0
  )
  set_augmentation(
    begun, resample=0.0, attenuation_db=0.0, background_frequency=0.0
  )
  if begun.as_published:
    begun.config.training.frozen_share = 0.0


def set_front_end(
  begun: Start,
  *,
  window_ms: float,
  hop_ms: float,
  bins: int,
  mel_bins: int | None = 40,
  **edges: Any,
) -> None:
  """Sets the method's own input.

  Thermometers read log-mel features, and as many of them as the published
  network reads cosine coefficients, so that all layers behind the input have
  its shapes. A first layer of 8 or more bits reads what the published one does.

  Args:
    begun: the configuration.
    window_ms: length of a frame.
    hop_ms: distance between two.
    bins: features of a frame.
    mel_bins: under the published network's MFCC; None if it reads log-mel.
    **edges: other fields of the front end.
  """
  front_end = begun.config.front_end
  front_end.window_ms = window_ms
  front_end.hop_ms = hop_ms
  front_end.update(edges)
  if mel_bins and begun.variant not in ('binary', 'overflow'):
    front_end.kind = 'mfcc'
    front_end.mel_bins = mel_bins
    front_end.coefficients = bins
  else:
    front_end.mel_bins = bins


def set_optimizer(begun: Start, **fields: Any) -> None:
  """Sets fields of `config.optimizer` for the published network alone.

  A published learning rate is that of all weights. Latent weights of +-1 of
  other networks than BiFSMN's are trained by the recipe of `configs.kws`.
  """
  if begun.as_published:
    if 'learning_rate' in fields:
      fields['latent_learning_rate'] = fields['learning_rate']
    begun.config.optimizer.update(fields)


def set_batch_size(begun: Start, clips: int) -> None:
  """Sets the clips of a batch for the published network alone."""
  if begun.as_published:
    begun.config.training.batch_size = clips


def set_augmentation(begun: Start, **fields: float) -> None:
  """The same for fields of `config.augmentation`."""
  if begun.as_published:
    begun.config.augmentation.update(fields)


def set_masks(begun: Start, *, time: int, frequency: int) -> None:
  """Two masks of each kind (SpecAugment), of up to so many frames and bins."""
  masks = {
    'time_masks_number': 2, 'time_mask_max_size': time,
    'frequency_masks_number': 2, 'frequency_mask_max_size': frequency,
  }
  set_augmentation(begun, **masks)


def set_noise(begun: Start) -> None:
  """Background noise in 0.8 of the clips, of a volume up to 0.1."""
  set_augmentation(
    begun, background_frequency=0.8, background_volume=0.1
  )


def set_hello_edge_recipe(
  begun: Start, drops: tuple[tuple[float, float], ...] = _THIRDS_OF_A_FIFTH
) -> None:
  """Adam at 5e-4, a fifth of it after each drop, and frequent noise."""
  set_optimizer(begun, learning_rate=5e-4, schedule='step', drops=drops)
  set_noise(begun)


def set_momentum_recipe(begun: Start, weight_decay: float) -> None:
  """SGD with momentum at 0.1, divided by 10 at each third, frequent noise."""
  set_optimizer(
    begun, kind='sgd', learning_rate=0.1, weight_decay=weight_decay,
    schedule='step', drops=_THIRDS_OF_A_TENTH,
  )
  set_noise(begun)
