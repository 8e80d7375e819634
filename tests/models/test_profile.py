from bnn_jax.models import profile
from bnn_jax.nn import accumulator as accumulator_lib
from tests import tiny

# 13 frames become 7 behind the stem and 4 behind the second block.
STEM, BLOCK0, BLOCK1, CLASSIFIER = (
  7 * 8 * (3 * 12), 7 * 8 * (3 * 8), 4 * 12 * (3 * 8), 12 * 5,
)


def test_macs_and_memory():
  found = profile.profile(
    tiny.network(accumulator_lib.Accumulator(6, 'wrap', 8)), frames=13, bins=8
  )
  rows = {row['path']: row for row in found['layers']}
  assert list(rows) == ['stem', 'block0/conv', 'block1/conv', 'classifier']
  assert [row['macs'] for row in rows.values()] == [
    STEM, BLOCK0, BLOCK1, CLASSIFIER,
  ]
  assert found['binary_macs'] == STEM + BLOCK0 + BLOCK1 + CLASSIFIER
  assert found['real_macs'] == 0
  assert rows['stem']['output_shape'] == (7, 8)
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
  assert {row['weight_bits'] for row in found['layers']} == {32}
