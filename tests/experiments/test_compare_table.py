import pathlib

import pytest

from experiments import compare_data
from experiments import compare_methods
from experiments import compare_plan
from experiments import compare_table


def marks(name, *, data, protocol, seeds=3, testing=99.0, own_seeds=3):
  (unit,) = [
    unit for unit in compare_plan.units('all') if unit.name == name
  ]
  planned = compare_plan.Plan(
    pathlib.Path('/r'), f'data=folder,data_dir=/d,protocol={protocol}', 2,
    (1.0,), 3,
  )
  row = {'accuracy': 90.0, 'testing': testing, 'seeds': seeds}
  own = {'accuracy': 90.0, 'testing': 99.0, 'seeds': own_seeds}
  return compare_table._marks(row, unit, data, planned, ours=row, own=own)


@pytest.mark.parametrize('seeds, testing, mark', [
  (3, 95.2, 'reproduced'), (3, 95.0, 'not reproduced'),
  (2, 99.0, 'fewer than 3 seeds'),
])
def test_reproduced_is_said_of_the_same_test_alone(seeds, testing, mark):
  def of(version, protocol):
    return marks(
      'ds_cnn-L-float', data=compare_data.DataSet('t', version),
      protocol=protocol, seeds=seeds, testing=testing,
    )

  assert of('V1', 'hello_edge') == [mark]
  for version, protocol in (
    ('V2', 'hello_edge'), ('V1', 'official'), ('', 'hello_edge'),
  ):
    assert of(version, protocol) == ['other data']


@pytest.mark.parametrize('archive, mark', [
  (True, 'reproduced'), (False, 'other data'),
])
def test_the_official_test_is_the_archive(archive, mark):
  data = compare_data.DataSet('t', 'V2', archive)
  assert marks('bc_resnet-8-float', data=data, protocol='official') == [mark]


@pytest.mark.parametrize('name, protocol, mark', [
  ('dnn-S-float', 'hello_edge', 'published number unverified'),
  ('tc_resnet-8-float', 'tc_resnet', "the paper's rule, other lists"),
  ('tc_resnet-8-float', 'hello_edge', 'other data'),
])
def test_what_is_never_reproduced(name, protocol, mark):
  data = compare_data.DataSet('t', 'V1')
  assert marks(name, data=data, protocol=protocol) == [mark]


@pytest.mark.parametrize('own_seeds, mark', [
  (3, 'reproduced'), (2, 'fewer than 3 seeds'),
])
def test_a_loss_needs_seeds_of_the_float_network(own_seeds, mark):
  data = compare_data.DataSet('t', 'V1')
  assert marks(
    'bifsmn-v2-paper', data=data, protocol='bifsmn', own_seeds=own_seeds
  ) == [mark]


def test_a_published_deviation_widens_the_bar():
  one = compare_methods.Published(96.6, 'paper', 'V1', 'official', 0.21)
  assert one.bar(90.0) == pytest.approx(96.18)


def test_a_published_loss_is_one_to_the_own_float_network():
  (unit,) = [
    u for u in compare_plan.units('small') if u.name == 'bifsmn-v2-paper'
  ]
  (loss,) = unit.method.published['v2-paper']
  assert loss.bar(90.0) == pytest.approx(88.49)
  assert compare_table._published(unit) == (loss,)
  assert compare_table._text(loss) \
    == '1.51 points under its float (V1-12, bifsmn; abstract)'


@pytest.mark.parametrize('name, mark', [
  ('crnn-S-binary', ['not exported: gates stay real']), ('dnn-S-binary', []),
  ('mhatt_rnn-paper-binary', ['not exported: gates, attention stay real']),
  ('res-res8-binary', ['not exported: means of 12 positions stay real']),
  ('ours-M-wrap7', []),
])
def test_what_stays_real_is_marked(name, mark):
  found = marks(
    name, data=compare_data.DataSet('t', ''), protocol='official'
  )
  assert found == mark
