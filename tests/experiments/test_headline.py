"""The command, on networks of a layer each."""

import json

import pytest

from bnn_jax import errors
from bnn_jax.accelerator import areas
from experiments import headline
from experiments import headline_networks
from tests.experiments import headline_parts

TEN = headline_networks.TEN


@pytest.fixture(autouse=True)
def small(monkeypatch):
  def layers(name, variant, options=''):
    del options
    ours = name.method == headline_networks.OURS
    positions = 10 * (1 + 'SML'.index(name.size)) if ours else 100
    width = '32x32' if variant == 'float' else '1x1'
    return [headline_parts.layer(
      positions=positions, macs_by_width={width: positions * 16 * 48}
    )]

  monkeypatch.setattr(headline_networks, 'layers', layers)
  monkeypatch.setattr(areas, 'read', lambda path: headline_parts.PARTS)
  monkeypatch.setattr(headline, 'REGISTERS', ('wrap8', 'wrap7'))


def accuracies(folder, methods):
  rows = [
    {'name': name.method, 'size': name.size, 'variant': 'binary',
     'accumulator_bits': 16, 'overflow_mode': 'exact', 'accuracy': 80.0 + i,
     'deviation': None, 'seeds': 1, 'marks': [], 'command': 'python'}
    for i, name in enumerate(TEN[:methods])
  ]
  rows += [
    rows[0] | {'name': 'ours', 'size': size, 'variant': 'wrap7',
               'accumulator_bits': 7, 'overflow_mode': 'wrap',
               'accuracy': accuracy}
    for size, accuracy in (('S', 82.0), ('M', 85.0))
  ]
  path = folder / 'compare.json'
  path.write_text(json.dumps({'title': 'clips', 'rows': rows}))
  return str(path)


def test_costs_alone_compare_nothing(capsys, tmp_path):
  path = tmp_path / 'new' / 'costs.json'
  headline.main(['--json', str(path), '--plots', str(tmp_path)])
  said = capsys.readouterr().out
  assert 'than the' not in said and 'accuracy' not in said
  found = json.loads(path.read_text())
  assert [each['method'] for each in found['networks']] == [
    *(name.method for name in (*TEN, *headline_networks.EXTRAS)), *['ours'] * 3
  ]
  # Of two arrangements and five widths of words.
  machines = [
    'usual', 'wrap 8, shift', 'wrap 7, shift', '16 bits, threshold', 'suited',
  ]
  arrays = [point['array'] for point in found['networks'][0]['points']]
  assert arrays == [label for label in machines for _ in range(10)]
  assert set(found['networks'][0]['moved']) == {*machines[1:-1]}
  assert 'sentences' not in found
  assert [p.name for p in tmp_path.glob('*.svg')] == ['headline_lanes.svg']


def test_with_accuracies(capsys, tmp_path):
  path = tmp_path / 'headline.json'
  headline.main([
    '--accuracies', accuracies(tmp_path, 7), '--json', str(path), '--plots',
    str(tmp_path),
  ])
  said = capsys.readouterr().out
  assert 'At equal accuracy: clips' in said
  assert '6 of the ten methods' in said
  assert 'than the best of the 6 twins' in said
  assert 'Not compared, no network of ours is as accurate: mhatt_rnn' in said
  found = json.loads(path.read_text())
  matches = [each['match'] for each in found['comparisons']]
  assert [match and match['ours']['name'] for match in matches] == [
    *['ours S, wrap 7'] * 3, *['ours M, wrap 7'] * 3, None,
  ]
  assert matches[0]['less']['area_time'] > matches[3]['less']['area_time'] > 0
  assert all(sentence in said for sentence in found['sentences'])
  svg = (tmp_path / 'headline_waterfall.svg').read_text()
  assert svg.count('shift BN') == 6
  assert not list(tmp_path.glob('*.part'))


def test_too_few_are_no_claim(capsys, tmp_path):
  headline.main(['--accuracies', accuracies(tmp_path, 5)])
  said = capsys.readouterr().out
  assert '5 of the ten methods can be compared' in said
  assert 'nothing is claimed' in said and 'than the best' not in said


@pytest.mark.parametrize('register', ['wrap', '7', 'exact7', 'wrap7x'])
def test_a_register_that_is_none(register):
  with pytest.raises(errors.UserError, match=f'--registers {register} is not'):
    headline.main(['--registers', register])


def test_a_register_that_was_not_measured():
  with pytest.raises(errors.UserError, match='--simd 1 --bits 5 --modes wrap'):
    headline.main(['--registers', 'wrap5'])
