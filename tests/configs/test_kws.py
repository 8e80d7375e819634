import pytest

from bnn_jax.data import protocols
from configs import kws


def test_every_option_sets_its_key():
  config = kws.get_config(
    'data=folder,data_dir=/d,test_dir=/t,classes=35,variant=binary,size=L,'
    'accumulator_bits=5,overflow_mode=saturate,simd=8,unit=popcount,'
    'penalty=periodic,seed=7,epochs=2,padding=valid,parts=3'
  )
  assert config.data.source == 'folder'
  assert config.data.data_dir == '/d'
  assert config.data.test_dir == '/t'
  assert config.data.classes == 35
  assert config.model.variant == 'binary'
  assert config.model.size == 'L'
  assert config.model.padding == 'valid'
  assert config.model.parts == 3
  assert config.accumulator.bits == 5
  assert config.accumulator.overflow_mode == 'saturate'
  assert config.accumulator.simd == 8
  assert config.accumulator.unit == 'popcount'
  assert config.penalty.kind == 'periodic'
  assert config.seed == 7
  assert config.training.epochs == 2


def test_options_of_the_official_data():
  config = kws.get_config('data=tfds,manual_dir=/m,protocol=hello_edge')
  assert config.data.source == 'tfds'
  assert config.data.manual_dir == '/m'
  assert config.data.protocol == 'hello_edge'
  assert kws.get_config().data.protocol == 'official'
  with pytest.raises(ValueError, match=', '.join(protocols.NAMES)):
    kws.get_config('protocol=foo')


@pytest.mark.parametrize('options, parts', [
  ('', 2), ('accumulator_bits=9', 1), ('accumulator_bits=8', 1),
  ('accumulator_bits=6', 4), ('accumulator_bits=5', 8),
  ('accumulator_bits=3', 8), ('overflow_mode=saturate', 1),
  ('accumulator_bits=6,overflow_mode=saturate', 2),
  ('accumulator_bits=6,overflow_mode=exact', 1),
  ('accumulator_bits=6,variant=binary', 1), ('variant=float', 1),
  ('unit=popcount', 1), ('unit=popcount,accumulator_bits=6', 2),
  ('accumulator_bits=6,parts=3', 3), ('smoke', 1), ('smoke,parts=2', 2),
])
def test_registers_that_overflow_have_short_sums(options, parts):
  assert kws.get_config(options).model.parts == parts


def test_smoke_shrinks_but_yields_to_options():
  whole, smoke = kws.get_config(), kws.get_config('smoke')
  assert smoke.name == 'kws_smoke'
  assert smoke.training.epochs < whole.training.epochs
  assert kws.get_config('smoke,epochs=9,size=L').training.epochs == 9
  assert kws.get_config('smoke,epochs=9,size=L').model.size == 'L'


def test_it_is_locked():
  with pytest.raises(AttributeError, match='locked'):
    kws.get_config().epochs = 3


def test_unknown_option():
  with pytest.raises(ValueError, match="'foo' does not exist"):
    kws.get_config('foo=1')
