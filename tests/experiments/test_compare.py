import base64
import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest

from bnn_jax import errors
from configs import kws
from experiments import compare
from experiments import compare_data
from experiments import compare_methods
from experiments import compare_plan
from experiments import compare_table
from experiments import records
from experiments import sweep

SMALL = tuple(
  dataclasses.replace(method, small=(size,))
  for name, size in (('dnn', 'S'), ('bifsmn', 'v2'), ('ours', 'M'))
  for method in compare_methods.METHODS if method.name == name
)


@pytest.fixture(autouse=True)
def two_methods(monkeypatch):
  monkeypatch.setattr(compare_methods, 'METHODS', SMALL)


@pytest.fixture
def no_costs(monkeypatch):
  """Counting them takes seconds."""
  costs = {
    'parameters': 1, 'macs': 2, 'macs_by_width': {'1x1': 2}, 'ace': 2,
    'bit_operations': 10, 'accumulator_bits': 7, 'overflow_mode': 'wrap',
  }
  monkeypatch.setattr(compare_table, '_costs', lambda config: costs)


def words(folder, speech, *more):
  return [
    f'--results={folder}', '--data=folder', f'--data_dir={speech}',
    '--budget=2', '--seeds=2', *more,
  ]


def outcome(run, right):
  """Of ten clips in each split, so many are right."""
  packed = base64.b64encode(np.packbits(np.arange(10) < right).tobytes())
  split = {
    'clips': 10, 'accuracy_deployed': right / 10, 'accuracy_exact': right / 10,
    'right_deployed': packed.decode(), 'changed_decisions': 0,
  }
  return {
    'splits': dict.fromkeys(run.splits, split), 'overflow': {},
    'device': f'cpu {run.seed}',
  }


@pytest.fixture
def pretend(monkeypatch):
  """Runs that end at once; those whose setting holds a word of it fail."""
  tried, broken = [], []

  def started(runs, options):
    for run in runs:
      tried.append((run.setting, run.splits[0], run.seed))
      if any(word in run.setting for word in broken):
        yield run, {'error': 'ouch'}
      elif run.setting.startswith('dnn'):
        yield run, outcome(run, 6 + ('own' in run.setting))
      else:
        yield run, outcome(run, 9 - ('wrap7' in run.setting) - run.seed)

  monkeypatch.setattr(sweep, '_started', started)
  return tried, broken


def test_two_phases(tmp_path, speech, pretend, capsys):
  tried, _ = pretend
  only = '--only=^(dnn|ours-M-[fw])'
  assert compare.main(words(tmp_path, speech, only)) == 0
  assert tried == [
    ('dnn-S-float-own-x1', 'dev', 0), ('dnn-S-float-ours-x1', 'dev', 0),
    *(
      (f'{name}', 'validation', seed)
      for name in (
        'dnn-S-float-own-x1', 'dnn-S-binary-ours-x1', 'ours-M-float-ours-x1',
        'ours-M-wrap8-ours-x1', 'ours-M-wrap7-ours-x1',
      ) for seed in (0, 1)
    ),
  ]
  assert len((tmp_path / 'reads.jsonl').read_text().splitlines()) == 10
  found = json.loads((tmp_path / 'compare2.json').read_text())
  title = (
    'Speech Commands subset (30 clips), protocol official, 2 epochs, at most 2 '
    'seeds'
  )
  assert found['title'] == title
  assert found['seeds'] == 2
  assert found['protocol'] == 'official'
  assert str(speech) not in str(found['data'])
  assert found['command'].startswith('python -m experiments.compare --results=')
  assert found['command'].endswith(" '--only=^(dnn|ours-M-[fw])'")
  rows = {(r['name'], r['size'], r['variant']): r for r in found['rows']}
  assert len(rows) == 9
  dnn = rows['dnn', 'S', 'float']
  assert (dnn['accuracy'], dnn['deviation'], dnn['seeds']) == (70.0, 0.0, 2)
  assert (dnn['recipe'], dnn['learning_rates']) == ('own-x1', 1)
  assert dnn['marks'] == ['undertrained', 'other data']
  assert dnn['published'] \
    == ['84.6 (V1-12, hello_edge; recalled, unverified)']
  assert (dnn['parameters'], dnn['macs']) == (79_644, 79_200)
  assert dnn['macs_by_width'] == {'32x32': 79_200}
  assert dnn['accumulator_bits'] is None
  binary = rows['dnn', 'S', 'binary']
  assert binary['marks'] == ['undertrained', 'untuned']
  assert (binary['accumulator_bits'], binary['overflow_mode']) == (16, 'exact')
  ours = rows['ours', 'M', 'wrap7']
  assert ours['accuracy'] == pytest.approx(75.0)
  assert ours['deviation'] == pytest.approx(10 / 2**0.5)
  assert (ours['accumulator_bits'], ours['overflow_mode']) == (7, 'wrap')
  assert ours['marks'] == ['tuned before']
  assert rows['ours', 'M', 'binary']['marks'] == ['not run']
  assert rows['ours', 'M', 'binary']['accuracy'] is None
  markdown = (tmp_path / 'compare2.md').read_text()
  assert markdown in capsys.readouterr().out
  lines = markdown.splitlines()
  assert lines[0] == f'## {title}'
  assert {line.count('|') for line in lines[2:]} == {16}
  assert lines[4].startswith(
    '| DNN | S | float | 79,644 | 32×32: 79,200 | '
  )
  assert (
    '| real | 70.00 ± 0.00 | 70.00 ± 0.00 | 2 | 1 | own-x1 | cpu 0; cpu 1 |'
  ) in lines[4]
  with (tmp_path / 'compare2.csv').open() as file:
    table = list(csv.DictReader(file))
  assert len(table) == 9
  assert table[0]['marks'] == 'undertrained; other data'
  assert table[0]['macs_by_width'] == '32x32: 79200'
  assert b'<svg' in (tmp_path / 'compare2.svg').read_bytes()


def test_one_failure_does_not_stop_the_rest(
  tmp_path, speech, pretend, no_costs, capsys
):
  tried, broken = pretend
  broken += ['float-own', 'wrap8']
  only = '--only=^(dnn|ours-M)'
  assert compare.main(words(tmp_path, speech, only)) == 1
  assert ('dnn-S-float-ours-x1', 'validation', 1) in tried
  assert ('ours-M-wrap7-ours-x1', 'validation', 1) in tried
  assert 'failed: dnn-S-float-own-x1 seed 0: ouch' in capsys.readouterr().err
  rows = json.loads((tmp_path / 'compare2.json').read_text())['rows']
  assert rows[0]['marks'][-1] == '1 of its candidates failed'
  # Asking for more candidates takes no row away.
  compare.main(words(tmp_path, speech, only, '--phase=judge', '--tuning=2'))
  rows = json.loads((tmp_path / 'compare2.json').read_text())['rows']
  assert rows[0]['learning_rates'] == 1 and rows[0]['accuracy'] is not None
  assert rows[0]['marks'][-1] == '1 of its candidates failed'
  broken.clear()
  tried.clear()
  assert compare.main(words(tmp_path, speech, only)) == 0
  assert ('dnn-S-float-own-x1', 'dev', 0) in tried
  # It is the better one: what was judged before is of no use.
  assert ('dnn-S-float-own-x1', 'validation', 0) in tried
  assert ('ours-M-float-ours-x1', 'validation', 0) not in tried
  tried.clear()
  assert compare.main(words(tmp_path, speech, only)) == 0
  assert tried == []


def test_phases_alone(tmp_path, speech, pretend, no_costs, capsys):
  tried, _ = pretend
  only = '--only=dnn-S-float'
  assert compare.main(words(tmp_path, speech, only, '--phase=judge')) == 1
  assert tried == []
  assert 'dnn-S-float: no candidate has ended' in capsys.readouterr().err
  compare.main(words(tmp_path, speech, only, '--phase=choose', '--tuning=2'))
  assert [split for _, split, _ in tried] == ['dev'] * 4
  compare.main(words(tmp_path, speech, only, '--phase=judge', '--tuning=2'))
  assert [split for _, split, _ in tried[4:]] == ['validation'] * 2


def test_the_place_of_the_data_does_not_matter(
  tmp_path, speech, pretend, no_costs
):
  tried, _ = pretend
  only = '--only=dnn-S-binary'
  assert compare.main(words(tmp_path / 'r', speech, only)) == 0
  assert len(tried) == 2
  moved = shutil.copytree(speech, tmp_path / 'moved')
  assert compare.main(words(tmp_path / 'r', moved, only)) == 0
  assert len(tried) == 2


def test_a_table_of_other_data_is_kept(tmp_path, speech, pretend, no_costs):
  tried, _ = pretend
  only, folder = '--only=dnn-S-binary', tmp_path / 'r'
  compare.main(words(folder, speech, only))
  table = folder / 'compare2.json'
  before = table.read_bytes()
  other = shutil.copytree(speech, tmp_path / 'other')
  next(other.glob('yes/*.wav')).unlink()
  with pytest.raises(errors.UserError, match='is of other data .Speech.*30'):
    compare.main(words(folder, other, only))
  with pytest.raises(errors.UserError, match='is not a folder'):
    compare.main(words(folder, tmp_path / 'none', only))
  assert table.read_bytes() == before and len(tried) == 2
  table.write_text('{}')
  with pytest.raises(errors.UserError, match='is no table of a comparison'):
    compare.main(words(folder, speech, only))


def test_list(tmp_path, speech, pretend, capsys):
  only = '--only=dnn-S-float'
  assert compare.main(words(tmp_path, speech, only, '--list')) == 0
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) == 2 and not pretend[0]
  assert lines[0].startswith(
    'python -m bnn_jax.main --config=configs/baselines/dnn.py:data=folder,'
  )
  assert not (tmp_path / 'compare2.md').exists()


@pytest.mark.parametrize('word, message', [
  ('--only=foo', 'leaves no network; choose from dnn-S-float'),
  ('--tuning=6', 'choose at most 5'), ('--budget=0', 'budget=0 is not'),
  ('--seeds=0', 'seeds=0 is not positive'),
  ('--data=foo', 'data=foo is not possible; choose one of synthetic'),
  ('--options=foo=1', "dnn.py is not possible: config option 'foo' does not"),
  ('--options=size=S', 'size=S is what the comparison sets'),
  ('--options=classes=12,epochs=3', 'epochs=3 is what the comparison sets'),
  ('--options=padding=valid', "'padding' does not exist"),
])
def test_bad_arguments(tmp_path, speech, word, message):
  with pytest.raises(errors.UserError, match=message):
    compare.main(words(tmp_path, speech, word))


def test_data_has_to_be_named(tmp_path, capsys):
  with pytest.raises(SystemExit):
    compare.main([f'--results={tmp_path}', '--budget=2'])
  assert 'required: --data' in capsys.readouterr().err


def test_large_after_small_in_one_folder(tmp_path, speech, pretend, no_costs):
  only = '--only=^(dnn|ours-[ML]-float)'
  assert compare.main(words(tmp_path, speech, only)) == 0
  assert compare.main(words(tmp_path, speech, only, '--sizes=large')) == 0
  found = json.loads((tmp_path / 'compare2.json').read_text())['rows']
  rows = {(r['name'], r['size'], r['variant']): r for r in found}
  # All of the large ones, and of the small ones what has been trained.
  assert {key[:2] for key in rows} == {
    ('dnn', 'S'), ('dnn', 'L'), ('bifsmn', 'v1'), ('ours', 'M'), ('ours', 'L'),
  }
  assert ('ours', 'M', 'wrap7') not in rows
  for size in 'SL':
    assert rows['dnn', size, 'float']['accuracy'] == 70.0
    assert rows['dnn', size, 'float']['marks'][0] == 'undertrained'
  assert rows['bifsmn', 'v1', 'paper']['marks'] == ['not run']


def test_the_reference_is_known_where_it_is_no_row(
  tmp_path, speech, pretend, no_costs, monkeypatch
):
  only = '--only=^(dnn-.-binary|ours-M-float)'
  assert compare.main(words(tmp_path, speech, only)) == 0
  assert compare.main(words(tmp_path, speech, '--sizes=large')) == 0
  planned = compare_plan.Plan(
    tmp_path, f'data=folder,data_dir={speech},epochs=2', 2, (1.0,), 2
  )
  (unit,) = [
    u for u in compare_plan.units('large') if u.name == 'dnn-L-float'
  ]

  def marks():
    (row,) = compare_table.rows(
      [unit], planned, records.Book(tmp_path), compare_data.DataSet('t', '')
    )
    assert row['accuracy'] == 70.0
    return row['marks']

  assert marks() == ['undertrained', 'other data']
  monkeypatch.setattr(compare_table, 'LEARNED', 70.1)
  assert marks() == ['undertrained', 'did not learn', 'other data']


def test_a_real_training(tmp_path, speech, no_costs, monkeypatch):
  """A network through both phases, in batches that the tiny data set fills."""
  get_config = kws.get_config

  def small(string=''):
    made = get_config(string).unlock()
    made.training.batch_size = 6
    return made.lock()

  monkeypatch.setattr(kws, 'get_config', small)
  assert compare.main(words(
    tmp_path, speech, '--only=^dnn-S-float', '--runner=fleet', '--seeds=1',
    '--options=smoke',
  )) == 0
  lines = records.read(tmp_path)
  assert [[*line['splits']] for line in lines] \
    == [['dev'], ['dev'], ['validation', 'testing']]
  (row,) = [
    row for row in
    json.loads((tmp_path / 'compare2.json').read_text())['rows']
    if row['accuracy'] is not None
  ]
  assert 0 <= row['testing'] <= 100 and row['seeds'] == 1
  best = max(lines[:2], key=lambda line: line['splits']['dev'][
    'accuracy_deployed'
  ])
  assert best['setting'] == lines[2]['setting']
