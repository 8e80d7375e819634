"""The layers of `bnn_jax.export.specs` as JSON, and back.

`docs/export.md` describes the JSON. What follows from other fields is written
too, for readers that do not want to compute it; here it is compared with what
it should be.
"""

from collections.abc import Callable
import dataclasses
import hashlib
import json
from typing import Any
from typing import NamedTuple

import numpy as np

from bnn_jax import errors
from bnn_jax.export import check
from bnn_jax.export import decoding
from bnn_jax.export import limits
from bnn_jax.export import packing
from bnn_jax.export import specs

FORMAT, VERSION = 'bnn_jax', 2
_FIELDS = {
  'format', 'version', 'class_names', 'input', 'front_end', 'provenance',
  'layers', 'weights', 'digest',
}
_KINDS: dict[str, Any] = {
  layer.KIND: layer
  for layer in (
    specs.Thermometer, specs.Conv, specs.ShiftBatchNorm, specs.Threshold,
    specs.Shortcut, specs.Slice, specs.Reshape, specs.MaxPool,
    specs.AveragePool, specs.Add, specs.ShiftPReLU, specs.RSign,
    specs.Classifier,
  )
}
# Absent where they change nothing.
_OPTIONAL = ('crop', 'preload', 'silence')


class Weights(NamedTuple):
  """What a document states of the file of its weights.

  Attributes:
    file: its name.
    array: in the file.
    bytes: of the array.
    sha256: of these bytes, in hexadecimal.
  """

  file: str
  array: str
  bytes: int
  sha256: str


def encode(model: specs.Model) -> dict[str, Any]:
  """A network as JSON, without the fields `weights` and `digest`.

  Raises:
    UserError: its layers do not fit together.
  """
  values = check.check(model)
  layers, offset = [], 0
  for layer in model.layers:
    row, offset = _encode_layer(layer, values[layer.name].shape, offset)
    layers.append(row)
  return {
    'format': FORMAT,
    'version': VERSION,
    'class_names': list(model.class_names),
    'input': dataclasses.asdict(model.input),
    'front_end': model.front_end,
    'provenance': model.provenance,
    'layers': layers,
  }


def _encode_layer(
  layer: specs.Layer, shape: tuple[int, ...], offset: int
) -> tuple[dict[str, Any], int]:
  """JSON of a layer whose tensors begin at a bit, and the bit behind them."""
  widths = layer.widths()
  row: dict[str, Any] = {'kind': layer.KIND}
  for field in dataclasses.fields(layer):
    value = getattr(layer, field.name)
    if field.name not in widths and value is not None:
      row[field.name] = _plain(value)
  row['shape'] = list(shape)
  if isinstance(layer, specs.Conv):
    row['words'] = list(layer.words)
    row['odd_words'] = layer.odd_words
    row['overflow_free'] = layer.overflow_free
  row['tensors'] = {}
  for name, width in widths.items():
    array = getattr(layer, name)
    row['tensors'][name] = {
      'offset': offset,
      'count': array.size,
      'bits': width.bits,
      'signed': width.signed,
      'shape': list(array.shape),
      'axes': list(width.axes),
    }
    offset += array.size * width.bits
  return row, offset


def _plain(value: Any) -> Any:
  if dataclasses.is_dataclass(value) and not isinstance(value, type):
    return dataclasses.asdict(value)
  if isinstance(value, tuple):
    return [_plain(item) for item in value]
  return value


def decode(document: dict[str, Any], data: np.ndarray) -> specs.Model:
  """The network of a JSON document.

  Args:
    document: an object that `encode` made, of this version.
    data: uint8, the packed arrays.

  Returns:
    The network, checked.

  Raises:
    UserError: a field is missing, unknown, of another type, or does not fit the
      others.
  """
  unknown = sorted(document.keys() - _FIELDS)
  if unknown:
    decoding.fail('model', f'{unknown[0]!r:.60}', 'is unknown')
  layers = decoding.field(document, 'layers', decoding.items, 'model')
  model = specs.Model(
    input=decoding.field(document, 'input', _input, 'model'),
    front_end=decoding.field(document, 'front_end', decoding.mapping, 'model'),
    class_names=decoding.field(
      document, 'class_names', decoding.texts, 'model'
    ),
    layers=tuple(
      _decode_layer(row, f'layers[{i}]', data) for i, row in enumerate(layers)
    ),
    provenance=decoding.field(
      document, 'provenance', decoding.mapping, 'model'
    ),
  )
  _compare(encode(model)['layers'], layers)
  bits = specs.information_bits(model)
  if len(data) != -(-bits // 8):
    raise errors.UserError(
      f'{len(data)} bytes of weights do not hold the {bits} bits of the '
      'tensors; export the network again.'
    )
  return model


def weights(document: Any) -> Weights:
  """What a document states of its weights.

  Raises:
    UserError: it is of another format or version, or the field is missing or
      of another type.
  """
  _check_version(document)
  return decoding.field(document, 'weights', _weights, 'model')


def digest(document: dict[str, Any], data: bytes) -> str:
  """SHA-256 of a document and its weights.

  Args:
    document: the JSON; of its fields, `digest` does not count.
    data: the packed arrays.

  Returns:
    It in hexadecimal.
  """
  counted = {key: document[key] for key in document if key != 'digest'}
  text = json.dumps(counted, sort_keys=True, separators=(',', ':'))
  return hashlib.sha256(text.encode() + data).hexdigest()


def check_digest(document: dict[str, Any], data: bytes) -> None:
  """Refuses what was altered with a UserError.

  Args:
    document: the JSON.
    data: the packed arrays.
  """
  stated = decoding.field(document, 'digest', decoding.text, 'model')
  try:
    found = digest(document, data)
  except RecursionError as error:
    raise errors.UserError(
      'a field holds lists within too many lists; export the network again.'
    ) from error
  if stated != found:
    raise errors.UserError(
      'a field was altered, as document and weights do not have the digest '
      'that is stated; export the network again.'
    )


def _check_version(document: Any) -> None:
  if not isinstance(document, dict) or document.get('format') != FORMAT:
    raise errors.UserError(
      f'field format is not {FORMAT!r}; name the folder of an export.'
    )
  if document.get('version') != VERSION:
    raise errors.UserError(
      f'field version is {document.get("version")!r}, and this package reads '
      f'version {VERSION}; export the network again with it.'
    )


def _decode_layer(row: Any, where: str, data: np.ndarray) -> specs.Layer:
  kind = decoding.field(row, 'kind', decoding.text, where)
  if kind not in _KINDS:
    decoding.fail(where, 'kind', f'{kind!r} is no kind of layer')
  tensors = decoding.field(row, 'tensors', decoding.mapping, where)
  known = {field.name for field in dataclasses.fields(_KINDS[kind])}
  fields: dict[str, Any] = {
    name: decoding.field(row, name, decoder, where)
    for name, decoder in _DECODERS.items()
    if name in known and (name in row or name not in _OPTIONAL)
  }
  for name, tensor in tensors.items():
    if name not in known or name in fields:
      decoding.fail(where, f'tensors.{name}', f'{kind} has no such tensor')
    fields[name] = _tensor(tensor, f'{where}.tensors.{name}', data)
  missing = sorted(known.difference(fields, _OPTIONAL))
  if missing:
    decoding.refuse_absence(where, f'tensors.{missing[0]}')
  return _KINDS[kind](**fields)


def _tensor(row: Any, where: str, data: np.ndarray) -> np.ndarray:
  offset = decoding.field(row, 'offset', decoding.count, where)
  bits = decoding.field(row, 'bits', decoding.integer, where)
  signed = decoding.field(row, 'signed', decoding.boolean, where)
  shape = decoding.field(row, 'shape', decoding.integers, where)
  least, most = limits.ELEMENT
  if not least <= bits <= most:
    decoding.fail(where, 'bits', f'{bits} is not in [{least}, {most}]')
  count = 1
  for size in shape:
    count *= size
  if min((0, *shape)) < 0 or offset + count * bits > 8 * len(data):
    decoding.fail(where, 'shape', f'{list(shape)} exceeds the weights')
  return packing.unpack(data, offset, shape, bits, signed)


def _compare(expected: list[Any], found: list[Any]) -> None:
  """Refuses a field that does not follow from the others."""
  for i, (right, row) in enumerate(zip(expected, found, strict=True)):
    for name in sorted(right.keys() | row.keys()):
      if right.get(name) != row.get(name):
        problem = f'{row.get(name)!r} does not fit the layer'
        decoding.fail(f'layers[{i}]', name, problem[:200])


_input = decoding.record(
  specs.Input, frames=decoding.integer, bins=decoding.integer,
  bits=decoding.integer, lo=decoding.real, exponent=decoding.integer,
)
_weights = decoding.record(
  Weights, file=decoding.text, array=decoding.text, bytes=decoding.count,
  sha256=decoding.text,
)
_DECODERS: dict[str, Callable[[Any], Any]] = {
  'name': decoding.text,
  'inputs': decoding.texts,
  'input_bits': decoding.integer,
  'silence': decoding.pair,
  'kernel': decoding.integers,
  'strides': decoding.integers,
  'padding': decoding.pairs,
  'dilation': decoding.integers,
  'groups': decoding.integer,
  'channels': decoding.integer,
  'crop': decoding.pairs,
  'start': decoding.integer,
  'shape': decoding.integers,
  'window': decoding.integers,
  'register_bits': decoding.integer,
  'stream': decoding.record(
    specs.Stream, bits=decoding.integer, fraction_bits=decoding.integer
  ),
  'accumulator': decoding.record(
    specs.Accumulator, bits=decoding.integer, overflow_mode=decoding.text,
    simd=decoding.integer, unit=decoding.text,
  ),
}
