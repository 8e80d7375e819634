import pytest

from bnn_jax import errors
from bnn_jax.accelerator import operations
from bnn_jax.accelerator import workload


def layer(weight_bits=1, input_bits=1, additions=0):
  # 2 groups of 8 channels, 5 taps, 6 outputs at 7 positions.
  return workload.Layer(
    'conv', 6 * 7 * 40, 40, weight_bits, input_bits, 6, 5, 2, 1, additions
  )


# Taps that share a word, that fill one, that need two.
@pytest.mark.parametrize('simd, words', [
  (64, 1), (32, 2), (16, 3), (8, 5), (5, 10), (1, 40),
])
@pytest.mark.parametrize('norm, each', [
  ('full', 16 * 7 + 24), ('shift', 7 + 16), ('threshold', 7),
])
def test_binary_layers(simd, words, norm, each):
  found = operations.count(
    [layer(additions=9), layer()], simd=simd, bits=7, norm=norm, stream=8
  )
  outputs = 2 * 6 * 7
  assert found.xnor == outputs * words * simd
  assert found.tree == outputs * words * (simd - 1)
  assert found.accumulator == outputs * words * 7
  assert found.residuals == 9 * 8
  assert found.total == (
    outputs * words * (2 * simd - 1 + 7) + outputs * each + 72
  )


@pytest.mark.parametrize('weight, value, real, each', [
  (1, 8, 8, 8 + 6), (8, 8, 8, 64 + 16 + 6), (32, 32, 8, 64 + 16 + 6),
  (32, 32, 32, 1024 + 64 + 6), (1, 32, 16, 16 + 6),
])
def test_layers_of_numbers(weight, value, real, each):
  found = operations.count(
    [layer(weight, value)], simd=64, bits=7, norm='shift', real_bits=real
  )
  # Sums of 40 products grow by 6 bits.
  assert found.total == found.numbers == 6 * 7 * 40 * each


def test_a_norm_that_does_not_exist():
  with pytest.raises(errors.UserError, match="norm='batch'.*full_deep"):
    operations.count([layer()], simd=64, bits=7, norm='batch')
