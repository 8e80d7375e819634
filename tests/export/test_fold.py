import itertools

import numpy as np
import pytest

from bnn_jax.export import fold
from bnn_jax.export import specs
from tests.contract import stream_oracle

STREAM = specs.Stream(4, 1)


def layers(register, shift, bias, theta, lanes=5):
  """A convolution, its normalization and its sign; one word a lane."""
  channels = len(shift)
  weights = np.zeros((channels, lanes), np.uint8)
  return (
    specs.Conv('conv', ('x',), (), (), (), (), 1, register, weights),
    specs.ShiftBatchNorm('norm', ('conv',), STREAM, shift, bias),
    specs.RSign('sign', ('norm',), STREAM, theta),
  )


def every_constant():
  """All shifts and thresholds with some biases, `[C]` each."""
  rows = itertools.product(
    range(-8, 8), (-2000, -9, -1, 0, 3, 40, 2000), range(-8, 9)
  )
  return (np.array(column, np.int32) for column in zip(*rows, strict=True))


@pytest.mark.parametrize('unit', specs.UNITS)
@pytest.mark.parametrize('mode, bits', [('wrap', 4), ('exact', 2)])
def test_one_comparison_gives_the_same_bits(unit, mode, bits):
  shift, bias, theta = every_constant()
  register = specs.Accumulator(bits, mode, 1, unit)
  conv, norm, sign = layers(register, shift, bias, theta)
  kept, threshold = fold.fold((conv, norm, sign))
  assert kept is conv
  assert (threshold.name, threshold.inputs) == ('sign', ('conv',))
  assert threshold.register_bits == conv.register_bits
  half = 2 ** (conv.register_bits - 1)
  m = 5 if unit == 'popcount' else 0
  for acc in range(-half, half):
    a = (2 * acc - m) if unit == 'popcount' else acc
    expected = [
      stream_oracle.shift_batch_norm(a, s, b, STREAM.bits) >= t
      for s, b, t in zip(
        shift.tolist(), bias.tolist(), theta.tolist(), strict=True
      )
    ]
    assert (acc >= threshold.thresholds).tolist() == expected
  ends = set(threshold.thresholds.tolist())
  assert min(ends) == -half and max(ends) == half


def test_a_normalization_that_another_layer_reads_stays():
  shift = np.zeros(2, np.int32)
  register = specs.Accumulator(4, 'wrap', 1, 'dot')
  conv, norm, sign = layers(register, shift, shift, shift)
  add = specs.Add('add', ('norm', 'norm'), STREAM)
  assert fold.fold((conv, norm, sign, add)) == (conv, norm, sign, add)
  prelu = specs.ShiftPReLU('prelu', ('norm',), STREAM, shift, shift, shift)
  behind = specs.RSign('behind', ('prelu',), STREAM, shift)
  kept = fold.fold((conv, norm, prelu, behind))
  assert kept == (conv, norm, prelu, behind)


def test_shortcuts_that_pass_on_are_left_out():
  shift = np.zeros(2, np.int32)
  register = specs.Accumulator(4, 'wrap', 1, 'dot')
  conv, norm, _ = layers(register, shift, shift, shift)
  kept = fold.skip_identities((
    conv, norm,
    specs.Shortcut('same', ('norm',), (1,), 2),
    specs.Shortcut('wider', ('same',), (1,), 3),
    specs.Shortcut('strided', ('same',), (2,), 2),
    specs.Shortcut('cropped', ('same',), (1,), 2, ((1, 0),)),
    specs.Add('add', ('same', 'same'), STREAM),
    specs.Reshape('flat', ('norm',), (6,)),
    specs.Shortcut('wider_flat', ('flat',), (), 2),
    specs.Shortcut('same_flat', ('flat',), (), 6),
    specs.Add('add_flat', ('flat', 'same_flat'), STREAM),
  ))
  assert [(layer.name, layer.inputs) for layer in kept[2:]] == [
    ('wider', ('norm',)), ('strided', ('norm',)), ('cropped', ('norm',)),
    ('add', ('norm', 'norm')), ('flat', ('norm',)), ('wider_flat', ('flat',)),
    ('add_flat', ('flat', 'flat')),
  ]
