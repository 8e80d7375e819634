"""Writes and reads the folder of an exported network."""

from collections.abc import Callable
import hashlib
import io
import json
import os
import pathlib
import shutil
from typing import Any
import zipfile

import numpy as np

from bnn_jax import errors
from bnn_jax.export import limits
from bnn_jax.export import packing
from bnn_jax.export import schema
from bnn_jax.export import specs

MODEL, WEIGHTS, ARRAY = 'model.json', 'weights.npz', 'data'
# Beside its data, an array in an archive has a header of a few hundred bytes.
_HEADER = 4096


def write(
  folder: pathlib.Path,
  model: specs.Model,
  add: Callable[[pathlib.Path], None] | None = None,
) -> None:
  """Writes a network, in the place of what was there.

  All is written into a temporary folder, which is read and then renamed.

  Args:
    folder: to be made; its parent exists.
    model: the network.
    add: writes more into the folder that it is given.

  Raises:
    UserError: its layers do not fit together, or it cannot be written, or what
      was written cannot be read; what was there is still there.
  """
  data = packing.pack(specs.widths(model.layers))
  document = seal(schema.encode(model), data)
  new = folder.with_name(f'.{folder.name}.{os.getpid()}')
  old = folder.with_name(f'.{folder.name}.old.{os.getpid()}')
  try:
    # A killed process may have had this number, too.
    shutil.rmtree(new, ignore_errors=True)
    if folder.exists():
      shutil.rmtree(old, ignore_errors=True)
    new.mkdir()
    if add is not None:
      add(new)
    np.savez(new / WEIGHTS, data=data)
    (new / MODEL).write_text(_text(document) + '\n')
    _check_written(new, folder)
    if folder.exists():
      folder.rename(old)
    new.rename(folder)
  except OSError as error:
    raise errors.UserError(
      f'{folder} could not be written ({error.strerror}); free some space or '
      'make the folder around it writable.'
    ) from error
  finally:
    # Whatever came between the two names, an interrupt as well.
    if old.exists() and not folder.exists():
      old.rename(folder)
    for left in (new, old):
      shutil.rmtree(left, ignore_errors=True)


def _check_written(new: pathlib.Path, folder: pathlib.Path) -> None:
  """Refuses to put in the place of `folder` what cannot be read."""
  try:
    read(new)
  except errors.UserError as error:
    problem, _, _ = str(error).rpartition(';')
    raise errors.UserError(
      f'{folder} was not written, as what was made for it cannot be read '
      f'({problem}); check the disk, or export a smaller network.'
    ) from error


def seal(document: dict[str, Any], data: np.ndarray) -> dict[str, Any]:
  """The document with its fields `weights` and `digest`.

  Args:
    document: the network as JSON.
    data: uint8, the packed arrays.
  """
  content = data.tobytes()
  stated = schema.Weights(
    WEIGHTS, ARRAY, len(content), hashlib.sha256(content).hexdigest()
  )
  # As it is read: keys are texts, tuples are lists.
  whole = json.loads(json.dumps(document | {'weights': stated._asdict()}))
  return whole | {'digest': schema.digest(whole, content)}


def _text(value: Any, indent: str = '') -> str:
  """Indented JSON with each innermost list on one line."""
  inner = indent + ' '
  if isinstance(value, dict) and value:
    edges = '{}'
    rows = [
      f'{json.dumps(key)}: {_text(one, inner)}' for key, one in value.items()
    ]
  elif isinstance(value, list) and any(
    isinstance(one, dict | list) for one in value
  ):
    edges = '[]'
    rows = [_text(one, inner) for one in value]
  else:
    return json.dumps(value)
  lines = f',\n{inner}'.join(rows)
  return f'{edges[0]}\n{inner}{lines}\n{indent}{edges[1]}'


def read(folder: pathlib.Path) -> specs.Model:
  """Reads a network and checks all of it.

  Args:
    folder: that `write` made.

  Returns:
    The network.

  Raises:
    UserError: a file is missing, truncated or altered, of another version, or
      its fields do not fit; the message names the file and the field.
  """
  document = _read_json(folder / MODEL)
  try:
    data = _read_weights(folder / WEIGHTS, schema.weights(document))
    schema.check_digest(document, data.tobytes())
    return schema.decode(document, data)
  except errors.UserError as error:
    if str(error).startswith(str(folder)):
      raise
    raise errors.UserError(f'{folder / MODEL}: {error}') from error


def _read_json(path: pathlib.Path) -> Any:
  try:
    if path.stat().st_size > limits.DOCUMENT:
      raise ValueError('it is too large')
    return json.loads(path.read_bytes())
  except OSError as error:
    raise errors.UserError(
      f'{path} cannot be read ({error.strerror}); name the folder of an export.'
    ) from error
  except (ValueError, RecursionError) as error:
    raise errors.UserError(
      f'{path} is no JSON ({str(error)[:80]}); export the network again.'
    ) from error


def _read_weights(path: pathlib.Path, stated: schema.Weights) -> np.ndarray:
  """The packed bytes, which are the ones that the document states."""
  if (stated.file, stated.array) != (WEIGHTS, ARRAY):
    raise errors.UserError(
      f'model, field weights: it does not name {ARRAY} in {WEIGHTS}; export '
      'the network again.'
    )
  try:
    if stated.bytes > limits.DATA:
      raise ValueError('it is too large')
    with zipfile.ZipFile(path) as archive:
      if archive.namelist() != [f'{ARRAY}.npy']:
        raise ValueError(f'it does not hold the array {ARRAY} alone')
      if archive.getinfo(f'{ARRAY}.npy').file_size > stated.bytes + _HEADER:
        raise ValueError('it is too large')
      content = io.BytesIO(archive.read(f'{ARRAY}.npy'))
    data = np.lib.format.read_array(content, allow_pickle=False)
  except Exception as error:
    # A damaged archive fails in more ways than its library names.
    raise errors.UserError(
      f'{path} cannot be read ({str(error)[:80]}); export the network again.'
    ) from error
  if data.dtype != np.uint8 or data.shape != (stated.bytes,):
    raise errors.UserError(
      f'{path} holds {data.dtype} {list(data.shape)}, not the {stated.bytes} '
      f'bytes that {MODEL} states in weights.bytes; export the network again.'
    )
  if hashlib.sha256(data.tobytes()).hexdigest() != stated.sha256:
    raise errors.UserError(
      f'{path} was altered: its data do not have the weights.sha256 that '
      f'{MODEL} states; export the network again.'
    )
  return data
