import json

import pytest

from bnn_jax import errors
from experiments import headline_networks
from experiments import headline_results


def row(name='ds_cnn', size='S', variant='binary', accuracy=90.0, **fields):
  return {
    'name': name, 'size': size, 'variant': variant, 'accuracy': accuracy,
    'deviation': 0.5, 'seeds': 3, 'marks': [], 'command': 'python',
    'accumulator_bits': 16, 'overflow_mode': 'exact',
  } | fields


def ours(size, bits, accuracy, mode='wrap', deviation=None):
  return row(
    'ours', size, f'{mode}{bits}', accuracy, accumulator_bits=bits,
    overflow_mode=mode, deviation=deviation,
  )


def read(folder, rows):
  path = folder / 'compare.json'
  path.write_text(json.dumps({'title': 'clips', 'rows': rows}))
  return headline_results.read(path)


def twin(folder, accuracy):
  (found,) = read(folder, [row('res', 'res8', accuracy=100 * accuracy)]).twins
  return found._replace(deviation=None, seeds=1)


def test_twins_and_ours(tmp_path):
  found = read(tmp_path, [
    row(), row(variant='float', accumulator_bits=None, overflow_mode=None),
    row('ours', 'M'), ours('M', 7, 93.0), ours('S', 6, None),
    ours('L', 5, 20.0) | {'marks': ['did not learn']},
    row('kwt', '1', accuracy=None, deviation=None, seeds=0,
        marks=['not run'], command=None),
    row('res', 'res8', marks=['undertrained', 'other data']),
    row('bifsmn', 'v2', variant='paper'),
  ])
  assert found.title == 'clips'
  assert [str(twin) for twin in found.twins] == [
    'ds_cnn S', 'kwt 1', 'res res8',
  ]
  assert [twin.unfit for twin in found.twins] == ['', 'not run', 'undertrained']
  assert [twin.accuracy for twin in found.twins] == [0.9, 0.0, 0.9]
  assert found.twins[0].deviation == 0.005
  assert [str(each) for each in found.ours] == ['ours M, wrap 7']
  assert found.ours[0].machine.each.bits == 7


@pytest.mark.parametrize('content', [
  '[]', '{}', '{', '{"title": "", "rows": [{"name": "ds_cnn"}]}',
])
def test_another_file(tmp_path, content):
  (tmp_path / 'a.json').write_text(content)
  with pytest.raises(errors.UserError, match='is no file of results'):
    headline_results.read(tmp_path / 'a.json')


def test_a_file_that_is_no_text(tmp_path):
  (tmp_path / 'a.json').write_bytes(b'\xff\xfe')
  with pytest.raises(errors.UserError, match='is no file of results'):
    headline_results.read(tmp_path / 'a.json')


@pytest.mark.parametrize('method', ['ours', 'ds_cnn'])
def test_a_size_that_is_none(method):
  name = headline_networks.Name(method, 'XXL')
  with pytest.raises(errors.UserError, match=f'{method} XXL is no network: '):
    headline_networks.layers(name, 'binary')


def test_no_file(tmp_path):
  with pytest.raises(errors.UserError, match='cannot be read'):
    headline_results.read(tmp_path / 'a.json')


def test_the_smallest_that_is_not_below(tmp_path):
  found = read(tmp_path, [
    ours('L', 7, 95.0), ours('M', 7, 92.0), ours('M', 8, 93.0),
    ours('S', 8, 90.0),
  ]).ours
  costs = dict(zip(found, (9.0, 3.0, 4.0, 5.0), strict=True))
  for accuracy, name in (
    # A larger network is never taken for a cheaper register.
    (0.90, 'ours S, wrap 8'), (0.91, 'ours M, wrap 7'),
    (0.93, 'ours M, wrap 8'), (0.931, 'ours L, wrap 7'),
  ):
    chosen = headline_results.smallest(found, costs, twin(tmp_path, accuracy))
    assert str(chosen) == name
  assert headline_results.smallest(found, costs, twin(tmp_path, 0.96)) is None


def test_a_lead_within_the_error_is_none(tmp_path):
  found = read(tmp_path, [
    ours('S', 8, 90.0, deviation=0.5), ours('M', 8, 91.0, deviation=0.5),
  ]).ours
  costs = dict.fromkeys(found, 1.0)
  # Ours deviates by 0.5 points over 3 seeds, whose mean errs by 0.289.
  for accuracy, deviation, seeds, name in (
    (0.899, None, 1, 'ours M, wrap 8'), (0.897, None, 1, 'ours S, wrap 8'),
    (0.897, 0.01, 3, 'ours M, wrap 8'), (0.897, 0.001, 9, 'ours S, wrap 8'),
  ):
    other = twin(tmp_path, accuracy)._replace(deviation=deviation, seeds=seeds)
    assert str(headline_results.smallest(found, costs, other)) == name


def test_methods_of_the_ten():
  names = [headline_networks.Name(*each) for each in (
    ('ds_cnn', 'S'), ('ds_cnn', 'L'), ('dnn', 'S'), ('ours', 'M'),
    ('crnn', 'S'),
  )]
  assert headline_results.qualifying(names) == ['crnn', 'ds_cnn']
