"""The golden model: an exported network in NumPy integers, and nothing else.

It is the independent witness of `docs/arithmetic.md`: it reads an export alone
(`docs/export.md`), shares no code with the rest of the package, and computes
every intermediate array. Clear before fast; only the sums of a word are counted
64 lanes at a time.

  python golden.py EXPORT Q.npy LOGITS.npy

Letters: B clips, C channels, G groups, K operands of one output, N outputs,
P bits of a register, R bits of a stream.
"""

from collections.abc import Callable
from collections.abc import Iterator
import hashlib
import io
import itertools
import json
import math
import pathlib
import sys
from typing import Any
from typing import NoReturn
import zipfile

import numpy as np

# Clips computed together, which bounds the memory.
CLIPS = 50
# What no export exceeds, see docs/export.md.
LIMITS: dict[str, Any] = {
  'INTEGER': 2**24,
  'DOCUMENT': 2**24,
  'DATA': 2**28,
  'VALUES': 2**24,
  'EDGE': 2**12,
  'OPERANDS': 2**24,
  'WINDOW': 2**15,
  'SUM': 2**30,
  'STREAM': (2, 16),
  'REGISTER': (2, 24),
  'ELEMENT': (1, 32),
}
# Fields of any content.
FREE = {'provenance'}
# Beside its data, an array in an archive has a header of a few hundred bytes.
HEADER = 4096


class ModelError(ValueError):
  """An export that is damaged, or of another version."""


def read(folder: str | pathlib.Path) -> dict[str, Any]:
  """Reads an export.

  Args:
    folder: with model.json and weights.npz.

  Returns:
    The JSON, where each tensor is an int64 array.

  Raises:
    ModelError: a file is missing or altered, or the layers do not fit.
  """
  path = pathlib.Path(folder) / 'model.json'
  try:
    if path.stat().st_size > LIMITS['DOCUMENT']:
      raise ModelError('it is too large')
    model = json.loads(path.read_bytes())
    if model['format'] != 'bnn_jax' or model['version'] != 2:
      raise ModelError('format and version are not bnn_jax, 2')
    if 'weights' not in model:
      raise ModelError('field weights is missing')
    _check_numbers({name: model[name] for name in model.keys() - FREE})
    data = _weights(path.with_name('weights.npz'), model['weights'])
    if model.pop('digest', None) != _digest(model, data):
      raise ModelError('a field was altered: the digest is another one')
    bits = np.unpackbits(data, bitorder='little')
    end = 0
    for layer in model['layers']:
      for name, tensor in layer['tensors'].items():
        _require(tensor['offset'] == end, layer, f'{name}: offset')
        layer['tensors'][name] = _tensor(bits, tensor)
        end += tensor['count'] * tensor['bits']
      _check_size(layer)
    if len(bits) - end not in range(8) or bits[end:].any():
      raise ModelError('the tensors do not fill the weights')
    form = model['input']
    shape = (1, form['frames'], form['bins'])
    if math.prod(shape) > LIMITS['VALUES'] or form['bits'] not in range(1, 9):
      raise ModelError('field input is not possible')
    shapes = {'q': list(shape[1:])}
    for layer in model['layers']:
      _check_padded(layer, shapes[layer['inputs'][0]])
      shapes[layer['name']] = layer['shape']
    # Each layer checks its shapes as it computes.
    _forward(model, np.zeros(shape, np.uint8))
  except Exception as error:
    # A damaged file may hold anything, and so fails in any way.
    raise ModelError(
      f'{path}: {type(error).__name__}: {str(error)[:200]}; export the network '
      'again.'
    ) from error
  return model


def _check_numbers(value: Any, name: str = 'model') -> None:
  """Keeps numbers to their limit; those of bits and bytes are the file's."""
  if isinstance(value, dict):
    for key, inner in value.items():
      if key not in ('offset', 'count', 'bytes'):
        _check_numbers(inner, key)
  elif isinstance(value, list):
    for inner in value:
      _check_numbers(inner, name)
  else:
    is_large = isinstance(value, int) and abs(value) > LIMITS['INTEGER']
    if is_large or isinstance(value, float) and not math.isfinite(value):
      raise ModelError(f'field {name}: {value} is out of range')


def _weights(path: pathlib.Path, stated: dict[str, Any]) -> np.ndarray:
  """All tensors, packed."""
  if (stated['file'], stated['array']) != ('weights.npz', 'data'):
    raise ModelError('field weights does not name data in weights.npz')
  if stated['bytes'] > LIMITS['DATA']:
    raise ModelError('field weights.bytes is too large')
  with zipfile.ZipFile(path) as archive:
    # What is unpacked is no longer than this size.
    if archive.getinfo('data.npy').file_size > stated['bytes'] + HEADER:
      raise ModelError('weights.npz does not hold weights.bytes bytes')
    content = io.BytesIO(archive.read('data.npy'))
  data = np.lib.format.read_array(content, allow_pickle=False)
  if data.dtype != np.uint8 or data.shape != (stated['bytes'],):
    raise ModelError('weights.npz does not hold weights.bytes bytes')
  if hashlib.sha256(data.tobytes()).hexdigest() != stated['sha256']:
    raise ModelError('weights.npz does not have weights.sha256')
  return data


def _digest(model: dict[str, Any], data: np.ndarray) -> str:
  """SHA-256 of all other fields and of the weights."""
  fields = json.dumps(model, sort_keys=True, separators=(',', ':'))
  return hashlib.sha256(fields.encode('ascii') + data.tobytes()).hexdigest()


def _tensor(bits: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
  """One array: two's complement or unsigned, its lowest bit first."""
  start, width, shape = tensor['offset'], tensor['bits'], tensor['shape']
  count = math.prod(shape)
  possible = _is_within(width, 'ELEMENT') and min(shape) >= 1
  if count != tensor['count'] or not possible:
    raise ModelError(f'a tensor {shape} of {width} bits is not possible')
  rows = bits[start : start + count * width].reshape(count, width)
  values = np.zeros(count, np.int64)
  for i in range(width):
    values += rows[:, i].astype(np.int64) * 2**i
  if tensor['signed']:
    values -= rows[:, -1].astype(np.int64) * 2**width
  return values.reshape(shape)


def _check_size(layer: dict[str, Any]) -> None:
  """Keeps a damaged file from asking for all memory."""
  _require(math.prod(layer['shape']) <= LIMITS['VALUES'], layer, 'shape')
  pairs = {'padding': [], 'crop': []} | layer
  pairs['silence'] = [layer.get('silence', (0, 0))]
  for name in ('padding', 'crop', 'silence'):
    for before, after in pairs[name]:
      edges = 0 <= min(before, after) <= max(before, after) <= LIMITS['EDGE']
      _require(edges, layer, name)
  for name in ('strides', 'dilation'):
    steps = layer.get(name, ())
    possible = all(1 <= step <= LIMITS['INTEGER'] for step in steps)
    _require(possible, layer, name)
  if 'window' in layer:
    count = math.prod(layer['window'])
    _require(0 < count < LIMITS['WINDOW'], layer, 'window')
  weights = layer['tensors'].get('weights', np.zeros((1, 1)))
  _require(weights[0].size < LIMITS['OPERANDS'], layer, 'weights')
  channels = layer['shape'][-1]
  _require(layer.get('channels', channels) == channels, layer, 'channels')
  for name, limit in (('stream', 'STREAM'), ('accumulator', 'REGISTER')):
    if name in layer:
      _require(_is_within(layer[name]['bits'], limit), layer, name)


def _is_within(value: int, limit: str) -> bool:
  least, most = LIMITS[limit]
  return least <= value <= most


def _check_padded(layer: dict[str, Any], shape: list[int]) -> None:
  """The same where it pads an input of `shape`, channels last."""
  if layer['kind'] == 'thermometer':
    thresholds = layer['tensors']['thresholds']
    frames = shape[0] + sum(layer.get('silence', (0, 0)))
    _require(thresholds.shape[:1] == (shape[-1],), layer, 'thresholds')
    _require([frames, thresholds.size] == layer['shape'], layer, 'shape')
  padding = layer.get('padding', ())
  spatial = zip(shape, padding, strict=False)
  padded = [size + sum(pair) for size, pair in spatial]
  values = math.prod(padded) * math.prod(shape[len(padded) :])
  _require(values <= LIMITS['VALUES'], layer, 'padding')
  if layer['kind'] == 'classifier':
    largest = math.prod(shape) * 2 ** (layer['stream']['bits'] - 1)
    _require(largest < LIMITS['SUM'], layer, 'stream')


def _require(condition: bool, layer: dict[str, Any], field: str) -> None:
  if not condition:
    _refuse(layer, field)


def _refuse(layer: dict[str, Any], field: str) -> NoReturn:
  raise ModelError(f'layer {layer["name"]}, field {field} does not fit')


def logits(model: dict[str, Any], q: np.ndarray) -> np.ndarray:
  """Integer logits `[B, N]` of clips `q`, uint8 `[B, T, F]`, B >= 1."""
  last = model['layers'][-1]['name']
  return np.concatenate(
    [_forward(model, piece)[last] for piece in _pieces(q)]
  )


def intermediates(
  model: dict[str, Any], q: np.ndarray
) -> dict[str, np.ndarray]:
  """What every layer gives, by its name, each `[B, ...]`; bits are -1, +1."""
  values = [_forward(model, piece) for piece in _pieces(q)]
  return {
    name: np.concatenate([piece[name] for piece in values])
    for name in values[0]
  }


def _pieces(q: np.ndarray) -> list[np.ndarray]:
  """Some clips each."""
  if not q.ndim or not len(q):
    raise ModelError('there are no clips')
  return [q[i : i + CLIPS] for i in range(0, len(q), CLIPS)]


def _forward(model: dict[str, Any], q: np.ndarray) -> dict[str, np.ndarray]:
  form = model['input']
  if q.dtype != np.uint8 or q.shape[1:] != (form['frames'], form['bins']):
    raise ModelError(
      f'clips of {q.dtype} {q.shape} are not uint8 with {form["frames"]} '
      f'frames of {form["bins"]} bins'
    )
  made = {'q': q.astype(np.int64)}
  by_name: dict[str, dict[str, Any]] = {}
  for layer in model['layers']:
    source = by_name.get(layer['inputs'][0])
    inputs = [made[name] for name in layer['inputs']]
    y = KINDS[layer['kind']](layer, source, *inputs)
    _require(list(y.shape[1:]) == layer['shape'], layer, 'shape')
    _require(layer['name'] not in made, layer, 'name')
    made[layer['name']], by_name[layer['name']] = y, layer
  return made


def _by_channel(layer: dict[str, Any], name: str, x: np.ndarray) -> np.ndarray:
  """A tensor with one value for each channel of `x`."""
  tensor = layer['tensors'][name]
  _require(tensor.shape == x.shape[-1:], layer, name)
  return tensor


def sign_bit(x: np.ndarray, threshold: np.ndarray) -> np.ndarray:
  """+1 where x >= threshold, else -1."""
  return np.where(x >= threshold, 1, -1)


def saturate(v: np.ndarray, bits: int) -> np.ndarray:
  """The nearest integer of `bits` bits."""
  return np.clip(v, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def shift(a: np.ndarray, s: np.ndarray) -> np.ndarray:
  """Computes a * 2^s for s >= 0, floor(a / 2^-s) for s < 0."""
  return np.where(s >= 0, a << np.maximum(s, 0), a >> np.maximum(-s, 0))


def thermometer(layer, source, q):
  """Channel f * levels + i is q_f >= threshold_fi; `[B, T, F * levels]`."""
  del source
  silence = layer.get('silence', (0, 0))
  q = np.pad(q, [*[(0, 0)] * (q.ndim - 2), silence, (0, 0)])
  thresholds = layer['tensors']['thresholds']
  _require(thresholds.shape[:1] == q.shape[-1:], layer, 'thresholds')
  bits = sign_bit(q[..., None], thresholds)
  return bits.reshape(*q.shape[:-1], -1)


def shift_batch_norm(layer, source, a):
  """sat_R(shift(a, s) + b)."""
  del source
  s = _by_channel(layer, 'shift', a)
  b = _by_channel(layer, 'bias', a)
  return saturate(shift(a, s) + b, layer['stream']['bits'])


def threshold(layer, source, a):
  """The register of a convolution, compared: acc >= t."""
  register = (a + _offset(source)) // _step(source)
  return sign_bit(register, _by_channel(layer, 'thresholds', a))


def shortcut(layer, source, r):
  """Positions 0, stride, ... behind the crop; channels of zeros appended."""
  del source
  strides = layer['strides']
  _require(len(strides) == r.ndim - 2, layer, 'strides')
  crop = layer.get('crop', [(0, 0)] * len(strides))
  _require(len(crop) == len(strides), layer, 'crop')
  places = []
  for size, stride, (before, after) in zip(
    r.shape[1:-1], strides, crop, strict=True
  ):
    _require(before + after < size, layer, 'crop')
    places.append(slice(before, size - after, stride))
  r = r[:, *places]
  missing = layer['channels'] - r.shape[-1]
  return np.pad(r, [(0, 0)] * (r.ndim - 1) + [(0, missing)])


def slice_channels(layer, source, x):
  """Channels start to start + channels - 1."""
  del source
  start, stop = layer['start'], layer['start'] + layer['channels']
  _require(0 <= start < stop <= x.shape[-1], layer, 'start')
  return x[..., start:stop]


def reshape(layer, source, x):
  """The same values in the same order."""
  del source
  _require(math.prod(layer['shape']) == x[0].size, layer, 'shape')
  return x.reshape(len(x), *layer['shape'])


def windows(layer, x):
  """Windows side by side: their positions are the axis before the channels."""
  sizes = x.shape[1:-1]
  _require(len(layer['window']) == len(sizes), layer, 'window')
  for size, wide in zip(sizes, layer['window'], strict=True):
    _require(1 <= wide <= size, layer, 'window')
  within = []
  for first in itertools.product(*map(range, layer['window'])):
    places = [
      slice(i, size // wide * wide, wide)
      for i, size, wide in zip(first, sizes, layer['window'], strict=True)
    ]
    within.append(x[:, *places])
  return np.stack(within, axis=-2)


def max_pool(layer, source, r):
  """The largest of each window."""
  del source
  return windows(layer, r).max(axis=-2)


def average_pool(layer, source, r):
  """floor(sum / N) of each window of N positions, a power of two."""
  del source
  count = math.prod(layer['window'])
  _require(count.bit_count() == 1, layer, 'window')
  return windows(layer, r).sum(axis=-2) // count


def add(layer, source, r, y):
  """sat_R(r + y)."""
  del source
  _require(r.shape == y.shape, layer, 'inputs')
  return saturate(r + y, layer['stream']['bits'])


def shift_prelu(layer, source, y):
  """sat_R(f(y - g) + h), f(z) = z for z >= 0, floor(z / 2^k) below."""
  del source
  z = y - _by_channel(layer, 'g', y)
  f = np.where(z >= 0, z, z >> _by_channel(layer, 'k', y))
  return saturate(f + _by_channel(layer, 'h', y), layer['stream']['bits'])


def rsign(layer, source, r):
  """+1 where r >= theta."""
  del source
  return sign_bit(r, _by_channel(layer, 'theta', r))


def classifier(layer, source, r):
  """Sums over all positions, times weights of +-1, plus bias."""
  del source
  weights, bias = layer['tensors']['weights'], layer['tensors']['bias']
  pool = r.sum(axis=tuple(range(1, r.ndim - 1)))
  _require(weights.shape == (*bias.shape, *pool.shape[1:]), layer, 'weights')
  return pool @ (2 * weights - 1).T + bias


PADDING = -1


def operands(layer: dict[str, Any], x: np.ndarray) -> np.ndarray:
  """Every output's operands in their order, bits `[B, *output, G, K]`.

  Kernel time, then kernel frequency, then channel, the fastest. `x` is of bits,
  since numbers would take eight times the memory.
  """
  axes = len(layer['kernel'])
  groups = layer['groups']
  taps = []
  if not axes:
    taps.append(x)
  else:
    _require(axes == x.ndim - 2, layer, 'kernel')
    pairs = [(0, 0), *layer['padding'], (0, 0)]
    x = np.pad(x, pairs, constant_values=PADDING > 0)
    for position in itertools.product(*map(range, layer['kernel'])):
      taps.append(x[:, *_places(layer, x, position)])
  split = [tap.reshape(*tap.shape[:-1], groups, -1) for tap in taps]
  return np.concatenate(split, axis=-1)


def _places(layer, padded, position) -> Iterator[slice]:
  """Where along each axis the outputs find one kernel position."""
  for size, k, p, d, stride in zip(
    padded.shape[1:-1], layer['kernel'], position, layer['dilation'],
    layer['strides'], strict=True,
  ):
    last = size - (k - 1) * d
    yield slice(p * d, p * d + last, stride)


def words(taps: int, channels: int, simd: int) -> list[range]:
  """The operands of each word; a word never crosses a tap that it cuts."""
  if channels < simd:
    together = simd // channels * channels
    starts = range(0, taps * channels, together)
    return [range(i, min(i + together, taps * channels)) for i in starts]
  return [
    range(tap * channels + i, tap * channels + min(i + simd, channels))
    for tap in range(taps)
    for i in range(0, channels, simd)
  ]


def register(v: np.ndarray, bits: int, overflow_mode: str) -> np.ndarray:
  """What a register of P bits keeps of v."""
  half = 2 ** (bits - 1)
  if overflow_mode == 'exact':
    return v
  if overflow_mode == 'wrap':
    return (v + half) % (2 * half) - half
  if overflow_mode == 'saturate':
    return np.clip(v, -half, half - 1)
  raise ModelError(f'overflow_mode {overflow_mode!r} does not exist')


def conv(layer, source, x):
  """Words summed exactly, then added to the register one by one."""
  del source
  weights = layer['tensors']['weights']
  accumulator = layer['accumulator']
  outputs, *kernel, channels = weights.shape
  groups = layer['groups']
  _require(kernel == layer['kernel'], layer, 'weights')
  _require(channels * groups == x.shape[-1], layer, 'groups')
  cut = words(math.prod(kernel), channels, accumulator['simd'])
  _require([len(word) for word in cut] == layer['words'], layer, 'words')
  x = operands(layer, x > 0)[..., None, :]
  w = weights.reshape(groups, outputs // groups, -1) > 0
  acc = np.zeros((*x.shape[:-2], outputs // groups), np.int64)
  acc += layer['tensors'].get('preload', np.zeros(outputs, int)).reshape(
    groups, -1
  )
  for word in cut:
    lanes = slice(word.start, word.stop)
    equal = len(word) - different(x[..., lanes], w[..., lanes])
    acc = register(
      acc + summand(equal, len(word), accumulator['unit']),
      accumulator['bits'], accumulator['overflow_mode'],
    )
  result = _step(layer) * acc - _offset(layer)
  return result.reshape(*result.shape[:-2], outputs)


def different(x: np.ndarray, w: np.ndarray) -> np.ndarray:
  """In how many lanes `x` and `w` differ, 64 lanes at a time."""
  total = np.zeros((), np.int64)
  for i in range(0, x.shape[-1], 64):
    unequal = _uint64(x[..., i : i + 64]) ^ _uint64(w[..., i : i + 64])
    total = total + np.bitwise_count(unequal)
  return total


def _uint64(bits: np.ndarray) -> np.ndarray:
  """Up to 64 lanes as one number; missing lanes are 0."""
  missing = [(0, 0)] * (bits.ndim - 1) + [(0, 64 - bits.shape[-1])]
  packed = np.packbits(np.pad(bits, missing), axis=-1)
  return np.ascontiguousarray(packed).view(np.uint64)[..., 0]


def summand(equal: np.ndarray, lanes: int, unit: str) -> np.ndarray:
  """What a word with `equal` equal lanes adds to the register."""
  if unit == 'dot':
    return 2 * equal - lanes
  if unit == 'popcount':
    return equal - lanes // 2
  raise ModelError(f'unit {unit!r} does not exist')


def _step(layer: dict[str, Any]) -> int:
  """Difference of two results whose registers differ by 1."""
  return 2 if layer['accumulator']['unit'] == 'popcount' else 1


def _offset(layer: dict[str, Any]) -> int:
  """Words with an odd number of lanes: m, of the unit 'popcount' alone."""
  odd = sum(lanes % 2 for lanes in layer['words'])
  return odd if layer['accumulator']['unit'] == 'popcount' else 0


KINDS: dict[str, Callable[..., np.ndarray]] = {
  'thermometer': thermometer,
  'conv': conv,
  'shift_batch_norm': shift_batch_norm,
  'threshold': threshold,
  'shortcut': shortcut,
  'slice': slice_channels,
  'reshape': reshape,
  'max_pool': max_pool,
  'average_pool': average_pool,
  'add': add,
  'shift_prelu': shift_prelu,
  'rsign': rsign,
  'classifier': classifier,
}


def main(arguments: list[str]) -> None:
  """Writes the logits int64 `[B, N]` of the clips in a file."""
  if len(arguments) != 3:
    raise SystemExit('usage: python golden.py EXPORT Q.npy LOGITS.npy')
  export, clips, output = arguments
  try:
    model = read(export)
    result = _told(clips, lambda: logits(model, _clips(clips)))
    _told(output, lambda: np.save(output, result))
  except ModelError as error:
    raise SystemExit(f'error: {error}') from error


def _clips(path: str) -> np.ndarray:
  with open(path, 'rb') as file:
    return np.lib.format.read_array(file, allow_pickle=False)


def _told(path: str, run: Callable[[], Any]) -> Any:
  """What `run` gives, or an error that names the file."""
  try:
    return run()
  except Exception as error:
    # A damaged array may hold anything, and so fails in any way.
    text = ' '.join(str(error).split())
    raise ModelError(f'{path}: {text[:200]}') from error


if __name__ == '__main__':
  main(sys.argv[1:])
