"""The logits of every window of a stream without end.

Shape letters: T frames of a window, F mel bins, C channels, N outputs.
"""

import numpy as np

from bnn_jax import errors
from bnn_jax.export import check
from bnn_jax.export import specs
from bnn_jax.export import streaming
from bnn_jax.export import streaming_cost

# Frames from one window of a network with padding to the next.
_HOP = 8


def padded(model: specs.Model) -> str | None:
  """Name of the first layer that pads, if one does."""
  for layer in model.layers:
    if isinstance(layer, specs.Conv) and any(sum(layer.padding, ())):
      return layer.name
  return None


class Sliding:
  """A stream without end: the logits of each of its windows.

  A network without padding computes the same for a window alone as for a
  stream, so that all windows share their frames, and the classifier's sum over
  a window loses one position and gains one.

  Attributes:
    hop: frames from one window's start to the next.
  """

  def __init__(self, model: specs.Model):
    """Starts before the first frame.

    Args:
      model: the network; it has no padding.

    Raises:
      UserError: a layer has padding, or see `streaming.check_streams`.
    """
    streaming.check_streams(model)
    if padded(model):
      raise errors.UserError(
        f'layer {padded(model)} pads each window, which then shares nothing '
        'with the next; train the network with model.padding=valid.'
      )
    values = check.check(model)
    last = values[model.layers[-1].inputs[0]]
    self.hop = round(1 / streaming_cost.rates(model)[model.layers[-1].name])
    self._model = model
    self._frames = streaming.Frames(model)
    self._positions = last.shape[0]
    self._held = np.zeros((0, last.shape[1]), np.int64)

  def push(self, q: np.ndarray) -> np.ndarray:
    """Takes the next frames, uint8 `[t, F]`.

    Args:
      q: uint8 `[t, F]`; t may be 0.

    Returns:
      int64 `[w, N]`, logits of the next windows, each as soon as it is sure.
      Window i has the frames from i * hop on.

    Raises:
      UserError: they are no frames of this network.
    """
    streaming.check_frames(self._model, q)
    held = np.concatenate([self._held, self._frames.push(q)])
    sums = np.cumsum(np.pad(held, [(1, 0), (0, 0)]), axis=0)
    self._held = held[max(0, len(held) - self._positions + 1) :]
    pools = sums[self._positions :] - sums[: -self._positions]
    return streaming.classify(self._model, pools)


class Repeated:
  """A stream without end: each window is computed alone.

  Attributes:
    hop: frames from one window's start to the next.
  """

  def __init__(self, model: specs.Model, hop: int = _HOP):
    """Starts before the first frame of `model`.

    Raises:
      UserError: see `streaming.check_streams`.
    """
    streaming.check_streams(model)
    self.hop = hop
    self._model = model
    self._held = np.zeros((0, model.input.bins), np.uint8)

  def push(self, q: np.ndarray) -> np.ndarray:
    """Takes the next frames and gives the windows that they end.

    Args:
      q: uint8 `[t, F]`; t may be 0.

    Returns:
      int64 `[w, N]`, logits of the next windows; window i has the frames from
      i * hop on.

    Raises:
      UserError: they are no frames of this network.
    """
    streaming.check_frames(self._model, q)
    self._held = np.concatenate([self._held, q])
    found = [np.zeros((0, len(self._model.class_names)), np.int64)]
    while len(self._held) >= self._model.input.frames:
      clip = streaming.Clip(self._model)
      clip.push(self._held[: self._model.input.frames])
      found.append(clip.flush()[None])
      self._held = self._held[self.hop :]
    return np.concatenate(found)


Windows = Sliding | Repeated


def windows(model: specs.Model) -> Windows:
  """The kind that the network allows: `Sliding` without padding."""
  return Repeated(model) if padded(model) else Sliding(model)
