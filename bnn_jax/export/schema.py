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
from typing import NoReturn

import numpy as np

from bnn_jax import errors
from bnn_jax.export import check
from bnn_jax.export import limits
from bnn_jax.export import packing
from bnn_jax.export import specs

FORMAT, VERSION = 'bnn_jax', 2
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


def decode(document: Any, data: np.ndarray) -> specs.Model:
  """The network of a JSON document.

  Args:
    document: what `encode` made, of this version.
    data: uint8, the packed arrays.

  Returns:
    The network, checked.

  Raises:
    UserError: a field is missing, of another type, or does not fit the others.
  """
  layers = _field(document, 'layers', _list, 'model')
  model = specs.Model(
    input=_field(document, 'input', _input, 'model'),
    front_end=_field(document, 'front_end', _object, 'model'),
    class_names=_field(document, 'class_names', _strings, 'model'),
    layers=tuple(
      _decode_layer(row, f'layers[{i}]', data) for i, row in enumerate(layers)
    ),
    provenance=_field(document, 'provenance', _object, 'model'),
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
  return _field(document, 'weights', _weights, 'model')


def digest(document: dict[str, Any], data: bytes) -> str:
  """SHA-256 of all that an export holds.

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
  stated = _field(document, 'digest', _string, 'model')
  try:
    found = digest(document, data)
  except RecursionError as error:
    raise errors.UserError(
      'a field holds lists within too many lists; export the network again.'
    ) from error
  if stated != found:
    raise errors.UserError(
      'a field was altered, as the export does not have the digest that it '
      'states; export the network again.'
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
  kind = _field(row, 'kind', _string, where)
  if kind not in _KINDS:
    _fail(where, 'kind', f'{kind!r} is no kind of layer')
  tensors = _field(row, 'tensors', _object, where)
  known = {field.name for field in dataclasses.fields(_KINDS[kind])}
  fields: dict[str, Any] = {
    name: _field(row, name, decoder, where)
    for name, decoder in _DECODERS.items()
    if name in known and (name in row or name not in _OPTIONAL)
  }
  for name, tensor in tensors.items():
    if name not in known or name in fields:
      _fail(where, f'tensors.{name}', f'{kind} has no such tensor')
    fields[name] = _tensor(tensor, f'{where}.tensors.{name}', data)
  missing = sorted(known.difference(fields, _OPTIONAL))
  if missing:
    _refuse_absence(where, f'tensors.{missing[0]}')
  return _KINDS[kind](**fields)


def _tensor(row: Any, where: str, data: np.ndarray) -> np.ndarray:
  offset = _field(row, 'offset', _count, where)
  bits = _field(row, 'bits', _integer, where)
  signed = _field(row, 'signed', _boolean, where)
  shape = _field(row, 'shape', _integers, where)
  least, most = limits.ELEMENT
  if not least <= bits <= most:
    _fail(where, 'bits', f'{bits} is not in [{least}, {most}]')
  count = 1
  for size in shape:
    count *= size
  if min((0, *shape)) < 0 or offset + count * bits > 8 * len(data):
    _fail(where, 'shape', f'{list(shape)} exceeds the weights')
  return packing.unpack(data, offset, shape, bits, signed)


def _compare(expected: list[Any], found: list[Any]) -> None:
  """Refuses a field that does not follow from the others."""
  for i, (right, row) in enumerate(zip(expected, found, strict=True)):
    for name in sorted(right.keys() | row.keys()):
      if right.get(name) != row.get(name):
        problem = f'{row.get(name)!r} does not fit the layer'
        _fail(f'layers[{i}]', name, problem[:200])


def _fail(where: str, field: str, problem: str) -> NoReturn:
  raise errors.UserError(
    f'{where}, field {field}: {problem}; export the network again.'
  )


def _refuse_absence(where: str, field: str) -> NoReturn:
  raise errors.UserError(
    f'{where}, field {field} is missing; export the network again.'
  )


def _field(
  row: Any, name: str, decoder: Callable[[Any], Any], where: str
) -> Any:
  """A field as `decoder` gives it, which raises ValueError on another type."""
  if not isinstance(row, dict) or name not in row:
    _refuse_absence(where, name)
  try:
    return decoder(row[name])
  except ValueError as error:
    raise errors.UserError(
      f'{where}, field {name}: {str(row[name])[:60]!r} is {error}; export the '
      'network again.'
    ) from error


def _typed(kind: type, name: str) -> Callable[[Any], Any]:
  def decoder(value):
    if not isinstance(value, kind):
      raise ValueError(f'no {name}')
    return value
  return decoder


_string = _typed(str, 'text')
_boolean = _typed(bool, 'boolean')
_list = _typed(list, 'list')
_object = _typed(dict, 'object')


def _count(value: Any) -> int:
  if isinstance(value, bool) or not isinstance(value, int) or value < 0:
    raise ValueError('no number of things')
  if value > 8 * limits.DATA:
    raise ValueError('out of range')
  return value


def _integer(value: Any) -> int:
  if isinstance(value, bool) or not isinstance(value, int):
    raise ValueError('no integer')
  if abs(value) > limits.INTEGER:
    raise ValueError('out of range')
  return value


def _float(value: Any) -> float:
  if not isinstance(value, float):
    raise ValueError('no real number')
  return value


def _integers(value: Any) -> tuple[int, ...]:
  return tuple(map(_integer, _list(value)))


def _strings(value: Any) -> tuple[str, ...]:
  return tuple(map(_string, _list(value)))


def _pair(value: Any) -> tuple[int, ...]:
  pair = _integers(value)
  if len(pair) != 2:
    raise ValueError('no pair')
  return pair


def _pairs(value: Any) -> tuple[tuple[int, ...], ...]:
  return tuple(map(_pair, _list(value)))


def _fields(kind: Any, **decoders: Callable[[Any], Any]):
  """Decodes a dataclass of exactly these fields."""
  def decoder(value):
    if set(_object(value)) != set(decoders):
      raise ValueError(f'no object of {", ".join(decoders)}')
    return kind(**{name: d(value[name]) for name, d in decoders.items()})
  return decoder


_input = _fields(
  specs.Input, frames=_integer, bins=_integer, bits=_integer, lo=_float,
  exponent=_integer,
)
_weights = _fields(
  Weights, file=_string, array=_string, bytes=_count, sha256=_string
)
_DECODERS: dict[str, Callable[[Any], Any]] = {
  'name': _string,
  'inputs': _strings,
  'input_bits': _integer,
  'silence': _pair,
  'kernel': _integers,
  'strides': _integers,
  'padding': _pairs,
  'dilation': _integers,
  'groups': _integer,
  'channels': _integer,
  'crop': _pairs,
  'start': _integer,
  'shape': _integers,
  'window': _integers,
  'register_bits': _integer,
  'stream': _fields(specs.Stream, bits=_integer, fraction_bits=_integer),
  'accumulator': _fields(
    specs.Accumulator, bits=_integer, overflow_mode=_string, simd=_integer,
    unit=_string,
  ),
}
