"""The engines that run an export, each from its folder alone."""

from collections.abc import Callable
import pathlib
from typing import NamedTuple

import numpy as np

from bnn_jax import errors
from bnn_jax.export import c_engine
from bnn_jax.export import files
from bnn_jax.export import golden
from bnn_jax.export import integer


class Engine(NamedTuple):
  """One engine.

  Attributes:
    logits: from the folder and q, uint8 `[n, T, F]`, to int32 `[n, N]`.
    intermediates: from the same to what every layer gives, by its name, with
      bits as -1 and +1; None for an engine that does not tell.
    missing: why it cannot run here, in a sentence; None where it can.
  """

  logits: Callable[[pathlib.Path, np.ndarray], np.ndarray]
  intermediates: (
    Callable[[pathlib.Path, np.ndarray], dict[str, np.ndarray]] | None
  )
  missing: Callable[[], str | None] = lambda: None


def _integer_logits(folder: pathlib.Path, q: np.ndarray) -> np.ndarray:
  return integer.compiled(files.read(folder))(q)


def _integer_intermediates(
  folder: pathlib.Path, q: np.ndarray
) -> dict[str, np.ndarray]:
  return integer.intermediates(files.read(folder), q)


def _golden_logits(folder: pathlib.Path, q: np.ndarray) -> np.ndarray:
  return golden.logits(_golden(folder), q).astype(np.int32)


def _golden_intermediates(
  folder: pathlib.Path, q: np.ndarray
) -> dict[str, np.ndarray]:
  return golden.intermediates(_golden(folder), q)


def _golden(folder: pathlib.Path) -> dict:
  try:
    return golden.read(folder)
  except golden.ModelError as error:
    raise errors.UserError(str(error)) from error


ENGINES = {
  'JAX integer': Engine(_integer_logits, _integer_intermediates),
  'golden': Engine(_golden_logits, _golden_intermediates),
  'C': Engine(c_engine.logits, c_engine.intermediates, c_engine.missing),
}
