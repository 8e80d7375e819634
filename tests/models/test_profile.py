import math

import flax.linen as nn
import pytest

from bnn_jax.models import profile
from bnn_jax.models import speech_resnet
from bnn_jax.nn import accumulator as accumulator_lib
from bnn_jax.nn import integer
from tests import tiny

# 13 frames become 7 behind the stem and 4 behind the second block.
STEM, BLOCK0, BLOCK1, CLASSIFIER = (
  7 * 8 * (3 * 12), 7 * 8 * (3 * 8), 4 * 12 * (3 * 8), 12 * 5,
)


def test_macs_and_memory():
  found = profile.profile(
    tiny.network(accumulator_lib.Accumulator(6, 'wrap', 8)), frames=13, bins=8
  )
  assert sum(row['parameters'] for row in found['layers']) == (
    found['parameters']
  )
  rows = {row['path']: row for row in found['layers'] if row['macs']}
  assert list(rows) == ['stem', 'block0/conv', 'block1/conv', 'classifier']
  assert [row['macs'] for row in rows.values()] == [
    STEM, BLOCK0, BLOCK1, CLASSIFIER,
  ]
  assert found['binary_macs'] == STEM + BLOCK0 + BLOCK1 + CLASSIFIER
  assert found['real_macs'] == 0
  assert found['macs'] == found['binary_macs']
  # The classifier reads the 8 bits of the stream.
  assert found['macs_by_width'] == {
    '1x1': STEM + BLOCK0 + BLOCK1, '1x8': CLASSIFIER,
  }
  assert found['ace'] == STEM + BLOCK0 + BLOCK1 + 8 * CLASSIFIER
  # Registers of 6 bits; the classifier's sums of 12 products take 1 + 8 + 4.
  assert found['bit_operations'] == (
    found['ace'] + 6 * (STEM + BLOCK0 + BLOCK1) + 13 * CLASSIFIER
  )
  # Bits that the encoding, both signs and the last block hand on.
  assert [row['activation_bits'] for row in rows.values()] == [
    13 * 24, 7 * 8, 7 * 8, 8 * 4 * 12,
  ]
  assert found['activation_bits'] == 8 * 4 * 12
  assert rows['stem']['output_shape'] == (7, 8)
  assert [(row['taps'], row['groups']) for row in rows.values()] == [
    (3, 2), (3, 1), (3, 1), (1, 1),
  ]
  # Both blocks are added to the stream, the second one behind its stride.
  assert [row['additions'] for row in rows.values()] == [0, 7 * 8, 4 * 12, 0]
  # 24 thermometer bits in two groups of 12.
  assert [row['operands'] for row in rows.values()] == [36, 24, 24, 12]
  weights = 36 * 8 + 24 * 8 + 24 * 12 + 12 * 5
  # Norm 2 and activation 3 a channel everywhere, signs but behind the last;
  # biases and a factor.
  others = 5 * (8 + 8 + 12) + (8 + 8) + 5 + 1
  assert found['parameters'] == weights + others
  # Bits a channel: shift 4 and bias 16, k 3, g and h 8 each, threshold 9.
  norm, activation, sign = 20 * 28, 19 * 28, 9 * 16
  thermometer, bias = 8 * 3 * 8, 24 * 5
  assert found['memory_bits'] == (
    weights + norm + activation + sign + thermometer + bias
  )
  assert [row['accumulator_bits'] for row in rows.values()] == [6, 6, 6, None]
  # 36 needs -36..36, so 7 bits; 24 needs 6.
  assert [row['safe_bits'] for row in rows.values()] == [7, 6, 6, None]


def test_memory_of_preloads_is_that_of_their_registers():
  register = accumulator_lib.LayerAccumulators(
    accumulator_lib.Accumulator(6, 'wrap', 8),
    (('^stem$', accumulator_lib.Accumulator(9, 'wrap', 8)),),
  )
  without, learned = (
    profile.profile(
      tiny.network(register, learn_preload=learn), frames=13, bins=8
    )
    for learn in (False, True)
  )
  # Eight channels of the stem and of the first block, twelve of the second.
  added = learned['memory_bits'] - without['memory_bits']
  assert added == 9 * 8 + 6 * (8 + 12)
  assert learned['parameters'] - without['parameters'] == 8 + 8 + 12


def test_memory_of_thresholds_is_that_of_the_input():
  network = tiny.network()
  eight, four = (
    profile.profile(network, frames=13, bins=8, input_bits=bits)['memory_bits']
    for bits in (8, 4)
  )
  assert eight - four == 8 * 3 * 4


def test_float_network():
  found = profile.profile(tiny.network(variant='float'), frames=13, bins=8)
  assert found['binary_macs'] == 0
  # One real value for three bits of the thermometer.
  assert found['real_macs'] == (
    STEM // 3 + BLOCK0 + BLOCK1 + CLASSIFIER
  )
  assert found['memory_bits'] == 32 * found['parameters']
  assert found['macs_by_width'] == {'32x32': found['real_macs']}
  assert found['ace'] == 1024 * found['macs']


@pytest.mark.parametrize('size, parameters, stem, blocks', [
  # Every layer: frames, outputs, operands.
  ('S', 93261, (25, 192, 240), ((25, 48, 240), (25, 48, 240), (13, 64, 144),
                               (13, 64, 192))),
  ('M', 275597, (25, 384, 240), ((25, 96, 480), (25, 96, 480),
                                (13, 128, 288), (13, 128, 384))),
  ('L', 1105677, (25, 768, 240), ((25, 192, 960), (25, 192, 960),
                                 (13, 256, 576), (13, 256, 768),
                                 (13, 256, 768))),
])
@pytest.mark.parametrize('mode', ['wrap', 'saturate'])
def test_our_networks(size, parameters, stem, blocks, mode):
  network = speech_resnet.build(
    size, 'overflow', 12, accumulator=accumulator_lib.Accumulator(7, mode),
    stream=integer.StreamFormat(), levels=8, norm_variant='fused',
    weight_gradient='hard_tanh', activation_gradient='approx_sign',
  )
  found = profile.profile(network, frames=98, bins=40)
  macs = [math.prod(layer) for layer in (stem, *blocks)]
  classifier = 12 * blocks[-1][1]
  assert found['parameters'] == parameters
  assert found['macs_by_width'] == {'1x1': sum(macs), '1x8': classifier}
  rows = [row for row in found['layers'] if row['kind'] == 'BinaryConv']
  assert [row['macs'] for row in rows] == macs
  assert [row['operands'] for row in rows] == [
    layer[2] for layer in (stem, *blocks)
  ]
  # The stem's four parts are added one by one.
  frames, outputs, _ = stem
  assert [row['parts'] for row in rows] == [4] + [1] * len(blocks)
  assert [row['additions'] for row in rows] == [frames * outputs * 3 // 4] + [
    frames * outputs for frames, outputs, _ in blocks
  ]


class Recurrent(nn.Module):
  """A network with nothing of ours: one module twice, one by a method."""

  @nn.compact
  def __call__(self, q, *, train):
    x = nn.Dropout(0.5, deterministic=not train)(q.astype('float32'))
    position = self.param('position', nn.initializers.zeros, q.shape[1:])
    shared = nn.Dense(4, use_bias=False, name='shared')
    x = nn.RNN(nn.GRUCell(4), name='rnn')(shared(x + position))
    x = nn.remat(nn.Dense)(4, name='again')(x)
    return nn.Embed(3, 4, name='table').attend(x[:, -1])


def test_any_flax_network():
  found = profile.profile(Recurrent(), frames=7, bins=5)
  rows = {row['path']: row for row in found['layers']}
  assert rows['']['parameters'] == 7 * 5 and rows['']['macs'] == 0
  assert rows['shared']['macs'] == 7 * 5 * 4
  assert rows['again']['macs'] == 7 * 4 * 4
  assert rows['table']['macs'] == rows['table']['parameters'] == 3 * 4
  gates = [row for path, row in rows.items() if path.startswith('GRUCell_0/')]
  assert [row['macs'] for row in gates] == 6 * [7 * 4 * 4]
  assert found['macs'] == sum(row['macs'] for row in rows.values())
  assert found['parameters'] == sum(row['parameters'] for row in rows.values())
