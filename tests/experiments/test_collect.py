import base64
import json
import pathlib

import numpy as np
import pytest

from bnn_jax import errors
from experiments import bootstrap
from experiments import collect
from experiments import plot_sweep


def packed(bits: str) -> str:
  right = np.array([int(bit) for bit in bits])
  return base64.b64encode(np.packbits(right).tobytes()).decode()


def line(setting, seed, bits, exact='111111', speakers='s.json', **more):
  return {
    'ablation': 'a', 'setting': setting, 'seed': seed, 'digest': 'd',
    'command': ['python', '-m', 'x y'], 'speakers': speakers,
    'overflow': {'stem': 0.2, 'block0/conv': 0.4},
    'splits': {'dev': {
      'clips': 6, 'right_exact': packed(exact), 'right_deployed': packed(bits),
      'changed_decisions': exact.count('1') - bits.count('1'),
    }},
  } | more


@pytest.fixture
def folder(tmp_path) -> pathlib.Path:
  lines = [
    line('default', 0, '111000', clips_per_second=12.0),
    line('default', 1, '111100', clips_per_second=8.0),
    line('best', 0, '111110'), line('best', 1, '000000', error='no', splits={}),
    line('best', 1, '000000'), line('best', 1, '111111'),
    line('other', 7, '110000'), line('moved', 0, '111111', speakers='t.json'),
    line('default', 0, '000000', ablation='b'),
  ]
  text = ''.join(json.dumps(row) + '\n' for row in lines)
  (tmp_path / 'results.jsonl').write_text(text)
  (tmp_path / 's.json').write_text(json.dumps({'dev': [0, 0, 1, 1, 2, 2]}))
  return tmp_path


def test_numbers_by_hand(folder):
  rows = collect.table(folder, 'a', ['dev'], 'default')
  assert [row['setting'] for row in rows] \
    == ['default', 'best', 'other', 'moved']
  default, best, other, moved = rows
  assert default['seeds'] == 2
  assert default['accuracy_deployed'] == pytest.approx((3 + 4) / 12)
  assert default['deviation_deployed'] == pytest.approx((1 / 6) / 2**0.5)
  assert default['accuracy_exact'] == 1.0
  assert default['changed_decisions'] == 2.5
  assert default['overflow'] == pytest.approx(0.3)
  assert default['difference'] == 0.0 and default['interval'] == (0.0, 0.0)
  assert default['command'] == "python -m 'x y'"
  # 5 - 3 and 6 - 4 clips more.
  assert best['accuracy_deployed'] == pytest.approx(11 / 12)
  assert best['difference'] == pytest.approx(4 / 12)
  low, high = best['interval']
  assert 0 <= low < 4 / 12 < high <= 1
  # No seed, or no clip, is shared.
  assert other['difference'] is None and moved['difference'] is None
  assert other['deviation_deployed'] is None


def test_table_as_text(folder, capsys):
  collect.main([
    f'--results={folder}', '--ablation=a', f'--markdown={folder / "t.md"}',
    f'--json={folder / "t.json"}',
  ])
  text = (folder / 't.md').read_text()
  assert capsys.readouterr().out == text
  lines = text.splitlines()
  assert len(lines) == 6
  assert lines[0].count('|') == lines[1].count('|') == lines[2].count('|') == 10
  assert lines[2] == (
    '| default | 2 | 58.33 ± 11.79 | 100.00 ± 0.00 | 2.5 | 30.000 | 10 | '
    '+0.00 | +0.00 to +0.00 |'
  )
  assert lines[4] == '| other | 1 | 33.33 | 100.00 | 4.0 | 30.000 |  |  |  |'
  assert len(json.loads((folder / 't.json').read_text())) == 4


def test_seeds_that_are_paired(tmp_path):
  lines = [line('default', 0, '111000')]
  lines += [line('best', seed, '111100') for seed in (0, 1)]
  (tmp_path / 'results.jsonl').write_text('\n'.join(map(json.dumps, lines)))
  (tmp_path / 's.json').write_text(json.dumps({'dev': [0, 0, 1, 1, 2, 2]}))
  rows = collect.table(tmp_path, 'a', ['dev'], 'default')
  assert [row['paired_seeds'] for row in rows] == [1, 1]
  last = collect.markdown(rows, 'default').splitlines()[-1]
  assert '| +16.67 (1 of 2) |' in last


def test_seeds_of_two_configurations_are_refused(tmp_path):
  lines = [
    line('default', 0, '111000'), line('default', 1, '111000', experiment='x'),
    line('default', 2, '111000', experiment='x'),
  ]
  path = tmp_path / 'results.jsonl'
  path.write_text('\n'.join(map(json.dumps, lines)))
  assert len(collect.good(tmp_path, 'a', ['dev'])['default']) == 3
  lines[0]['experiment'] = 'y'
  path.write_text('\n'.join(map(json.dumps, lines)))
  with pytest.raises(errors.UserError, match='not of one configuration'):
    collect.good(tmp_path, 'a', ['dev'])


def test_what_is_not_there(folder):
  with pytest.raises(errors.UserError, match="of the ablation 'c'"):
    collect.table(folder, 'c', ['dev'], 'default')
  with pytest.raises(errors.UserError, match='judged by testing'):
    collect.table(folder, 'a', ['testing'], 'default')
  with pytest.raises(errors.UserError, match='choose --baseline from default'):
    collect.table(folder, 'a', ['dev'], 'foo')


def test_interval_of_one_speaker_and_seed_is_its_mean():
  differences = np.array([[1, 0, 1, -1]])
  assert bootstrap.interval(differences, [0, 0, 0, 0]) == (0.25, 0.25)


def test_interval_is_that_of_clusters():
  """Clips that agree within speakers say no more than their speakers."""
  random = np.random.default_rng(1)
  of_speaker = random.integers(-1, 2, 200)
  differences = np.tile(np.repeat(of_speaker, 9), (1, 1))
  low, high = bootstrap.interval(differences, np.repeat(np.arange(200), 9))
  expected = 2 * 1.96 * of_speaker.std() / 200**0.5
  assert high - low == pytest.approx(expected, rel=0.1)
  assert low < of_speaker.mean() < high


def test_interval_counts_seeds():
  """Two seeds that differ, of the same clips: a quarter of the draws each."""
  differences = np.array([[1] * 50, [0] * 50])
  low, high = bootstrap.interval(differences, range(50))
  assert (low, high) == (0.0, 1.0)


def test_speakers_of_two_splits_are_others(tmp_path):
  path = tmp_path / 's.json'
  path.write_text('{"validation": [0, 1], "testing": [0, 0, 1]}')
  both = {'splits': {'validation': {}, 'testing': {}}}
  assert collect._speakers(path, both) == [0, 1, 2, 2, 3]


def rows():
  return [
    {'setting': name, 'accuracy_deployed': value, 'deviation_deployed': spread}
    for name, value, spread in (
      ('plain-wrap7', 0.5, 0.01), ('plain-wrap6', 0.25, None),
      ('both-saturate4', 0.75, 0.02), ('default', 0.9, 0.0),
    )
  ]


def test_curves_by_mode_and_idea():
  assert plot_sweep.curves(rows()) == {
    'wrap': {'plain': [(6, 25.0, 0.0), (7, 50.0, 1.0)]},
    'saturate': {'both': [(4, 75.0, 2.0)]},
  }
  with pytest.raises(errors.UserError, match='IDEA-MODE'):
    plot_sweep.curves(rows()[-1:])


def test_picture(folder):
  lines = [
    line(f'{idea}-{mode}{bits}', seed, '111000') for seed in (0, 1)
    for idea in ('plain', 'both') for mode in ('wrap', 'saturate')
    for bits in (5, 6)
  ]
  text = ''.join(json.dumps(row) + '\n' for row in lines)
  (folder / 'results.jsonl').write_text(text)
  words = [f'--results={folder}', '--ablation=a', f'--out={folder / "p.svg"}']
  plot_sweep.main(words)
  first = (folder / 'p.svg').read_bytes()
  assert b'<svg' in first
  plot_sweep.main(words)
  assert (folder / 'p.svg').read_bytes() == first


def test_a_split_of_those_judged_together(tmp_path):
  def split(bits):
    return {
      'clips': 2, 'right_exact': packed('11'), 'right_deployed': packed(bits),
      'changed_decisions': 0,
    }

  both = {'validation': split('10'), 'testing': split('11')}
  (tmp_path / 'results.jsonl').write_text(
    json.dumps(line('default', 0, '1', splits=both)) + '\n'
    + json.dumps(line('default', 1, '111000')) + '\n'
  )
  (tmp_path / 's.json').write_text(
    json.dumps({'validation': [0, 1], 'testing': [0, 1]})
  )

  def accuracy(*splits):
    (row,) = collect.table(tmp_path, 'a', splits, 'default')
    assert row['seeds'] == 1
    return row['accuracy_deployed']

  assert accuracy('testing') == 1.0
  assert accuracy('validation') == 0.5
  assert accuracy('validation', 'testing') == 0.75
