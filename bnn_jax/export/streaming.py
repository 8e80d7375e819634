"""An exported network that is fed its frames as they come.

Each layer keeps the frames that its next outputs still read and no other. What
it computes is the golden model's; here is only when, and a convolution's word
sums as products of matrices, which hold them exactly.

Shape letters: T frames, F mel bins, C channels, G groups, K operands of one
output, N outputs.
"""

import dataclasses
from typing import Any

import numpy as np

from bnn_jax import errors
from bnn_jax.export import check
from bnn_jax.export import golden
from bnn_jax.export import specs


class Kept:
  """The frames of one array that a layer's next outputs still read.

  Attributes:
    frames: `[t, C]`, oldest first.
  """

  def __init__(
    self, first: np.ndarray, *, span: int = 1, step: int = 1, skip: int = 0
  ):
    """Makes it.

    Args:
      first: `[t, C]`, what stands before the first frame.
      span: frames under one output.
      step: frames from one output to the next.
      skip: frames that no output reads at first.
    """
    self.frames = first
    self._span, self._step, self._skip = span, step, skip

  def push(self, frames: np.ndarray) -> np.ndarray:
    """Takes frames `[t, C]`; gives those under new outputs, `[n, span, C]`."""
    held = np.concatenate([self.frames, frames])
    skipped = min(self._skip, len(held))
    held, self._skip = held[skipped:], self._skip - skipped
    count = max(0, (len(held) - self._span) // self._step + 1)
    starts = np.arange(count) * self._step
    taken = held[starts[:, None] + np.arange(self._span)]
    done = count * self._step
    self._skip += max(0, done - len(held))
    self.frames = held[done:].copy()
    return taken


class Frames:
  """The layers before the classifier, with what each keeps."""

  def __init__(self, model: specs.Model):
    """Starts before the first frame of `model`.

    Raises:
      UserError: see `check_streams`.
    """
    check_streams(model)
    values = check.check(model)
    self._layers = model.layers[:-1]
    self._output = model.layers[-1].inputs[0]
    self._rows = {layer.name: _row(layer) for layer in self._layers}
    self._weights = {
      layer.name: _weights(layer)
      for layer in self._layers if isinstance(layer, specs.Conv)
    }
    self._channels = {
      layer.name: values[layer.name].shape[-1] for layer in self._layers
    }
    self._kept: dict[str, list[Kept]] = {}
    for layer in self._layers:
      channels = [values[name].shape[1] for name in layer.inputs]
      self._kept[layer.name] = _kept(layer, channels)

  def push(self, q: np.ndarray, last: bool = False) -> np.ndarray:
    """Takes the next frames.

    Args:
      q: uint8 `[t, F]`; t may be 0.
      last: whether the clip ends behind them.

    Returns:
      `[n, C]`, the classifier's next positions.
    """
    made = {specs.INPUT: q.astype(np.int64)}
    for layer in self._layers:
      inputs = [made[name] for name in layer.inputs]
      made[layer.name] = self._apply(layer, inputs, last)
    return made[self._output]

  def _apply(
    self, layer: specs.Layer, inputs: list[np.ndarray], last: bool
  ) -> np.ndarray:
    """What a layer gives by now, `[n, C]`; n may be 0."""
    inputs = self._ready(layer, inputs, last)
    if not len(inputs[0]):
      return np.zeros((0, self._channels[layer.name]), np.int64)
    match layer:
      case specs.Conv():
        return _conv(layer, inputs[0], self._weights[layer.name])
      case specs.Shortcut():
        picked = inputs[0][:, 0]
        missing = layer.channels - picked.shape[1]
        return np.pad(picked, [(0, 0), (0, missing)])
      case _:
        source = self._rows.get(layer.inputs[0])
        return golden.KINDS[layer.KIND](self._rows[layer.name], source, *inputs)

  def _ready(
    self, layer: specs.Layer, inputs: list[np.ndarray], last: bool
  ) -> list[np.ndarray]:
    """What the new outputs of a layer read; it keeps the rest."""
    kept = self._kept[layer.name]
    match layer:
      case specs.Conv():
        x = inputs[0]
        if last and layer.padding:
          x = np.concatenate([x, _padding(layer.padding[0][1], x.shape[1])])
        return [kept[0].push(x)[:, :: (layer.dilation or (1,))[0]]]
      case specs.Shortcut():
        return [kept[0].push(inputs[0])]
      case specs.Add():
        return _both(kept, inputs)
      case _:
        return inputs

  def kept(self) -> dict[str, int]:
    """How many frames each layer keeps now, by its name."""
    return {
      name: sum(len(one.frames) for one in kept)
      for name, kept in self._kept.items()
    }


class Clip:
  """One clip, frame by frame: the same logits as for the whole clip."""

  def __init__(self, model: specs.Model):
    """Starts before the first frame; see `Frames`."""
    self._model = model
    self._frames = Frames(model)
    self._missing = model.input.frames
    self._pool: np.ndarray | int = 0
    self._ended = False

  def push(self, q: np.ndarray) -> None:
    """Takes the next frames, uint8 `[t, F]`.

    Raises:
      UserError: they are no frames of this network, more than its clip has, or
        behind its end.
    """
    self._check_open()
    check_frames(self._model, q)
    self._missing -= len(q)
    if self._missing < 0:
      raise errors.UserError(
        f'{-self._missing} frames exceed the clip of '
        f'{self._model.input.frames}; begin a new one.'
      )
    self._pool = self._pool + self._frames.push(q).sum(axis=0)

  def flush(self) -> np.ndarray:
    """Ends the clip.

    Returns:
      int64 logits `[N]`.

    Raises:
      UserError: frames are missing, or the clip has ended before.
    """
    self._check_open()
    if self._missing:
      raise errors.UserError(
        f'{self._missing} of {self._model.input.frames} frames are missing; '
        'push them before the end.'
      )
    self._ended = True
    end = np.zeros((0, self._model.input.bins), np.uint8)
    pool = self._pool + self._frames.push(end, last=True).sum(axis=0)
    return classify(self._model, pool)

  def _check_open(self) -> None:
    if self._ended:
      raise errors.UserError(
        'the clip has ended, and its frames are gone; begin a new one.'
      )


def needs_whole_clips(model: specs.Model) -> specs.Layer | None:
  """The first layer that cannot be fed frame by frame, if there is one."""
  whole = specs.Reshape | specs.MaxPool | specs.AveragePool
  values = check.check(model)
  for layer in model.layers[:-1]:
    silent = isinstance(layer, specs.Thermometer) and any(layer.around)
    if silent or isinstance(layer, whole) or len(values[layer.name].shape) != 2:
      return layer
  return None


def check_streams(model: specs.Model) -> None:
  """Refuses a network that no single frames can be fed with a UserError."""
  layer = needs_whole_clips(model)
  if layer is not None:
    raise errors.UserError(
      f'layer {layer.name} ({layer.KIND}) needs whole clips, and frames are '
      'fed to layers over time alone; run the network with another engine.'
    )


def check_frames(model: specs.Model, q: np.ndarray) -> None:
  """Refuses what is no uint8 `[t, F]` of the network with a UserError."""
  if q.dtype != np.uint8 or q.ndim != 2 or q.shape[1] != model.input.bins:
    raise errors.UserError(
      f'frames of {q.dtype} {list(q.shape)} are not uint8 [t, '
      f'{model.input.bins}]; compute them with the front end of the network.'
    )


def classify(model: specs.Model, pool: np.ndarray) -> np.ndarray:
  """Logits `[..., N]` of sums over all positions, `[..., C]`."""
  layer = model.layers[-1]
  assert isinstance(layer, specs.Classifier)
  weights = 2 * layer.weights.astype(np.int64) - 1
  return pool @ weights.T + layer.bias


def _row(layer: specs.Layer) -> dict[str, Any]:
  """The layer as the golden model reads it."""
  row = {
    name: value for name, value in dataclasses.asdict(layer).items()
    if value is not None
  }
  row['tensors'] = {name: row.pop(name) for name in layer.widths()}
  if isinstance(layer, specs.Conv):
    row['words'] = list(layer.words)
  return row


def _padding(count: int, channels: int) -> np.ndarray:
  return np.full((count, channels), golden.PADDING)


def _kept(layer: specs.Layer, channels: list[int]) -> list[Kept]:
  """What a layer keeps of each input, before the first frame."""
  empty = [np.zeros((0, count), np.int64) for count in channels]
  match layer:
    case specs.Conv() if layer.kernel:
      before = layer.padding[0][0]
      span = (layer.kernel[0] - 1) * layer.dilation[0] + 1
      return [Kept(
        _padding(before, channels[0]), span=span, step=layer.strides[0]
      )]
    case specs.Conv():
      return [Kept(empty[0])]
    case specs.Shortcut():
      # It waits for the frames behind, which may be the last ones.
      before, after = layer.edges[0]
      return [Kept(
        empty[0], span=after + 1, step=layer.strides[0], skip=before
      )]
    case specs.Add():
      return [Kept(one) for one in empty]
    case _:
      return []


def _both(kept: list[Kept], inputs: list[np.ndarray]) -> list[np.ndarray]:
  """The frames that both inputs have by now; the rest is kept."""
  held = [
    np.concatenate([one.frames, x])
    for one, x in zip(kept, inputs, strict=True)
  ]
  count = min(map(len, held))
  for one, x in zip(kept, held, strict=True):
    one.frames = x[count:].copy()
  return [x[:count] for x in held]


def _weights(layer: specs.Conv) -> np.ndarray:
  """+-1 `[G, K, N / G]` in float32, whose products sum exactly."""
  w = layer.weights.reshape(layer.groups, -1, sum(layer.words))
  return np.swapaxes(2 * w.astype(np.float32) - 1, 1, 2)


def _conv(layer: specs.Conv, x: np.ndarray, w: np.ndarray) -> np.ndarray:
  """Results `[n, N]` of the taps `[n, taps, C]` of n outputs."""
  groups, unit = layer.groups, layer.accumulator.unit
  x = x.reshape(*x.shape[:2], groups, -1).transpose(2, 0, 1, 3)
  x = x.reshape(groups, len(x[0]), -1).astype(np.float32)
  acc = np.zeros((groups, 1, w.shape[-1]), np.int64)
  if layer.preload is not None:
    acc += layer.preload.reshape(groups, 1, -1)
  start = 0
  for lanes in layer.words:
    word = slice(start, start + lanes)
    sums = (x[:, :, word] @ w[:, word]).astype(np.int64)
    acc = golden.register(
      acc + golden.summand((sums + lanes) // 2, lanes, unit),
      layer.accumulator.bits, layer.accumulator.overflow_mode,
    )
    start += lanes
  result = np.moveaxis(acc, 0, 1).reshape(len(acc[0]), -1)
  return 2 * result - layer.odd_words if unit == 'popcount' else result
