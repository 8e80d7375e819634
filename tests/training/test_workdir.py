import pytest

from bnn_jax import errors
from bnn_jax.training import workdir
from configs import kws

CONFIG = {'name': 'a', 'accumulator': {'bits': 8, 'layer_bits': ((1, 2),)}}


def changed(**accumulator):
  return CONFIG | {'accumulator': CONFIG['accumulator'] | accumulator}


def test_prepare_makes_and_knows_its_own(tmp_path, monkeypatch):
  folder = tmp_path / 'a' / 'b'
  monkeypatch.setenv('XLA_FLAGS', '')
  monkeypatch.setenv('BNN_JAX_OVERFLOW_ENGINE', 'lax')
  monkeypatch.delenv('JAX_PLATFORMS', raising=False)
  workdir.prepare(folder, CONFIG, seed=3)
  record = workdir.read_json(folder / 'provenance.json')
  assert record['engine_notes'].startswith(
    f'overflow engine: {record["engine"]} on '
  )
  assert record['seed'] == 3
  assert record['environment'] \
    == {'XLA_FLAGS': '', 'BNN_JAX_OVERFLOW_ENGINE': 'lax'}
  assert set(record['versions']) == set(workdir.PACKAGES)
  # A tuple is a list in the file, and yet the same configuration.
  workdir.prepare(folder, CONFIG, seed=3)
  for again in (1, 2):
    later = workdir.read_json(folder / 'provenance.json')
    resumed = later.pop('resumed')
    assert later == record
    assert len(resumed) == again
    assert resumed[-1].keys() == record.keys()
    workdir.prepare(folder, CONFIG, seed=3)
  assert sorted(p.name for p in folder.iterdir()) == [
    'config.json', 'provenance.json',
  ]


def test_another_configuration(tmp_path):
  workdir.prepare(tmp_path, CONFIG, seed=0)
  with pytest.raises(errors.UserError) as caught:
    workdir.prepare(tmp_path, changed(bits=9, simd=1), seed=0)
  assert str(caught.value) == (
    f'the workdir {tmp_path} is of another configuration: accumulator.bits '
    '(8 there, 9 now), accumulator.simd (None there, 1 now); choose another '
    '--workdir or the same configuration.'
  )


def test_a_workdir_without_a_later_key_has_what_all_had_before(tmp_path):
  workdir.write_json(tmp_path / 'config.json', {'model': {'size': 'S'}})
  config = workdir.read_config(tmp_path)
  assert config == {
    'model': {
      'size': 'S', 'padding': 'same', 'learn_preload': False, 'shape': '',
      'parts': 1, 'rule': 'ours',
    }
  }
  assert workdir.differences(tmp_path, config) == {}


def test_a_workdir_without_the_protocol_has_the_official_one(tmp_path):
  workdir.write_json(tmp_path / 'config.json', {'data': {'classes': 12}})
  assert workdir.read_config(tmp_path) == {
    'data': {
      'classes': 12, 'manual_dir': '', 'protocol': 'official',
      'training_split': 'training',
    },
  }


def test_a_workdir_without_a_recipe_has_ours(tmp_path):
  optimizer = kws.get_config().optimizer.to_dict()
  later = ('kind', 'momentum', 'schedule', 'drops', 'hold_share', 'final_share')
  before = {k: v for k, v in optimizer.items() if k not in later}
  workdir.write_json(tmp_path / 'config.json', {'optimizer': before})
  assert workdir.differences(tmp_path, {'optimizer': optimizer}) == {}


def test_a_workdir_without_a_curriculum_has_none(tmp_path):
  training = kws.get_config().training.to_dict()
  later = ('range_start', 'range_share', 'range_bound')
  before = {k: v for k, v in training.items() if k not in later}
  workdir.write_json(tmp_path / 'config.json', {'training': before})
  assert workdir.differences(tmp_path, {'training': training}) == {}


def test_a_workdir_without_an_exact_branch_has_none(tmp_path):
  config = kws.get_config().to_dict()
  before = {k: v for k, v in config.items() if k != 'collaboration'}
  workdir.write_json(tmp_path / 'config.json', before)
  assert workdir.differences(tmp_path, config) == {}


def test_ignored_keys_may_differ(tmp_path):
  workdir.prepare(tmp_path, CONFIG, seed=0)
  workdir.check_config(tmp_path, changed(bits=9), ignore=('accumulator.',))
  with pytest.raises(errors.UserError, match='name'):
    workdir.check_config(
      tmp_path, changed(bits=9) | {'name': 'b'}, ignore=('accumulator.',)
    )


def test_differences(tmp_path):
  workdir.prepare(tmp_path, CONFIG, seed=0)
  assert workdir.differences(tmp_path, CONFIG) == {}
  other = changed(bits=9, simd=1) | {'name': None}
  assert workdir.differences(tmp_path, other) == {
    'accumulator.bits': (8, 9), 'accumulator.simd': (None, 1),
    'name': ('a', None),
  }


def test_many_differences_are_counted(tmp_path):
  workdir.prepare(tmp_path, {str(i): i for i in range(7)}, seed=0)
  other = {str(i): i + 1 for i in range(7)}
  with pytest.raises(errors.UserError, match='4 there, 5 now.* and 2 more;'):
    workdir.check_config(tmp_path, other)


def test_workdir_that_cannot_be_made(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(errors.UserError, match='cannot be made'):
    workdir.prepare(tmp_path / 'file', CONFIG, seed=0)


def test_a_training_at_a_time(tmp_path):
  with workdir.hold(tmp_path / 'run'):
    with pytest.raises(errors.UserError, match='another training is under way'):
      workdir.hold(tmp_path / 'run')
  with workdir.hold(tmp_path / 'run'):
    pass


def test_json_that_is_none(tmp_path):
  (tmp_path / 'config.json').write_text('{\n"a": ')
  with pytest.raises(errors.UserError, match=r'no JSON \(line 2\)'):
    workdir.check_config(tmp_path, CONFIG)
  with pytest.raises(errors.UserError, match='cannot be read'):
    workdir.read_json(tmp_path / 'nothing.json')


def test_write_json_is_whole_or_nothing(tmp_path):
  path = tmp_path / 'a.json'
  workdir.write_json(path, {'a': 1})
  with pytest.raises(TypeError):
    workdir.write_json(path, {'a': object()})
  assert workdir.read_json(path) == {'a': 1}
  with pytest.raises(errors.UserError, match='could not be written'):
    workdir.write_json(tmp_path / 'none' / 'a.json', {})
  assert [p.name for p in tmp_path.iterdir()] == ['a.json']
