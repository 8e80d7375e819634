import pytest

from bnn_jax import errors
from bnn_jax.accelerator import spec


def test_sizes_of_memories():
  assert spec.memories([]) == {}
  found = spec.memories(['weight_rows=8192', 'steps=9'])
  assert found == {'weight_rows': 8192, 'steps': 9}
  assert spec.AcceleratorSpec(**found).weight_rows == 8192


@pytest.mark.parametrize('text', [
  'weights=1', 'weight_rows', 'weight_rows=', 'weight_rows=0', 'steps=-1',
  'steps=1.5', 'pes=8', '',
])
def test_what_is_no_size(text):
  with pytest.raises(errors.UserError, match=f'--memories={text} is no size'):
    spec.memories([text])


@pytest.mark.parametrize('name', spec.MEMORIES)
def test_each_memory_is_a_field(name):
  assert getattr(spec.AcceleratorSpec(**{name: 5}), name) == 5
