import hypothesis
from hypothesis import strategies as st
import numpy as np

from bnn_jax.export import packing
from bnn_jax.export import specs


def width(bits, signed):
  return specs.Width(bits, signed, ('channel',))


def test_bits_are_where_the_description_says():
  data = packing.pack([
    (np.array([1, 0, 1]), width(1, False)),
    (np.array([5]), width(3, False)),
    (np.array([-1, -8, 7]), width(4, True)),
  ])
  # 1 0 1, then 1 0 1, then 1111 0001 1110, from the lowest bit.
  found = [f'{byte:08b}' for byte in data]
  assert found == ['11101101', '11100011', '00000001']


@hypothesis.given(st.data())
@hypothesis.settings(max_examples=40, deadline=None)
def test_round_trip(data):
  fields, offset = [], 0
  for _ in range(data.draw(st.integers(1, 5))):
    bits = data.draw(st.integers(1, 24))
    signed = data.draw(st.booleans())
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (
      0, 2**bits - 1
    )
    values = data.draw(st.lists(st.integers(low, high), min_size=1))
    fields.append((np.array(values), width(bits, signed)))
  packed = packing.pack(fields)
  for array, stored in fields:
    found = packing.unpack(
      packed, offset, array.shape, stored.bits, stored.signed
    )
    assert found.tolist() == array.tolist()
    offset += array.size * stored.bits
  assert len(packed) == -(-offset // 8)
