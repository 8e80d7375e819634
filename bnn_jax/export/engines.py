"""The engines that run an export, each from its folder alone."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import pathlib
from typing import Any
from typing import NamedTuple

import numpy as np

from bnn_jax import errors
from bnn_jax.export import c_engine
from bnn_jax.export import files
from bnn_jax.export import golden
from bnn_jax.export import integer
from bnn_jax.export import specs


class Engine(NamedTuple):
  """One engine.

  Attributes:
    logits: from the folder and q, uint8 `[n, T, F]`, to int32 `[n, N]`; it
      raises UserError for an export that cannot be read, or another q.
    intermediates: from the same, n >= 1, to what every layer gives, by its
      name, with bits as -1 and +1; None for an engine that does not tell.
    missing: why it cannot run here, in a sentence; None where it can.
  """

  logits: Callable[[pathlib.Path, np.ndarray], np.ndarray]
  intermediates: (
    Callable[[pathlib.Path, np.ndarray], dict[str, np.ndarray]] | None
  )
  missing: Callable[[], str | None] = lambda: None


def _integer_logits(folder: pathlib.Path, q: np.ndarray) -> np.ndarray:
  return integer.compiled(_model(folder, q))(q)


def _integer_intermediates(
  folder: pathlib.Path, q: np.ndarray
) -> dict[str, np.ndarray]:
  return integer.intermediates(_model(folder, q, least=1), q)


def _c_logits(folder: pathlib.Path, q: np.ndarray) -> np.ndarray:
  _model(folder, q)
  return c_engine.logits(folder, q)


def _c_intermediates(
  folder: pathlib.Path, q: np.ndarray
) -> dict[str, np.ndarray]:
  _model(folder, q, least=1)
  return c_engine.intermediates(folder, q)


def _model(
  folder: pathlib.Path, q: np.ndarray, least: int = 0
) -> specs.Model:
  """Reads a network that q fits."""
  model = files.read(folder)
  _check_clips(folder, q, model.input.frames, model.input.bins, least)
  return model


def _golden_logits(folder: pathlib.Path, q: np.ndarray) -> np.ndarray:
  with _golden_errors():
    model = _golden_model(folder, q)
    if not len(q):
      return np.zeros((0, *model['layers'][-1]['shape']), np.int32)
    return golden.logits(model, q).astype(np.int32)


def _golden_intermediates(
  folder: pathlib.Path, q: np.ndarray
) -> dict[str, np.ndarray]:
  with _golden_errors():
    return golden.intermediates(_golden_model(folder, q, least=1), q)


def _golden_model(
  folder: pathlib.Path, q: np.ndarray, least: int = 0
) -> dict[str, Any]:
  """The same by the golden model's own reader."""
  model = golden.read(folder)
  form = model['input']
  _check_clips(folder, q, form['frames'], form['bins'], least)
  return model


@contextlib.contextmanager
def _golden_errors() -> Iterator[None]:
  try:
    yield
  except golden.ModelError as error:
    raise errors.UserError(str(error)) from error


def _check_clips(
  folder: pathlib.Path, q: np.ndarray, frames: int, bins: int, least: int
) -> None:
  """Refuses what is not uint8 `[n, T, F]`, n at least `least`."""
  if q.dtype != np.uint8 or q.shape[1:] != (frames, bins) or len(q) < least:
    raise errors.UserError(
      f'clips of {q.dtype} {list(q.shape)} are not uint8 [n, {frames}, {bins}] '
      f'with n from {least} on; quantize them for {folder}.'
    )


ENGINES = {
  'JAX integer': Engine(_integer_logits, _integer_intermediates),
  'golden': Engine(_golden_logits, _golden_intermediates),
  'C': Engine(_c_logits, _c_intermediates, c_engine.missing),
}
