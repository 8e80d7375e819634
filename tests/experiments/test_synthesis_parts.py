"""The stored results are those of the tools, and enough for the arrays."""

import json

import pytest

from bnn_jax import errors
from bnn_jax.accelerator import areas
from bnn_jax.accelerator import cost
from bnn_jax.accelerator import synthesis
from experiments import synthesis_parts
from tests.accelerator import installed

STORED = synthesis_parts.RESULTS / 'synthesis_osu018.json'


@installed.needs(synthesis.PROGRAMS)
@pytest.mark.parametrize('kind, point', [
  ('units', synthesis.Unit('shift', 8)),
  ('elements', synthesis.Point(8, 'wrap', 'none', 1, pes=16, lanes=16)),
], ids=['unit', 'elements'])
def test_measured_again(kind, point):
  results = json.loads(STORED.read_text())
  if results['tools'] != synthesis.versions() and not installed.CI:
    pytest.skip(f'the stored results are of {results["tools"]}.')
  key = synthesis_parts.key(point)
  row = next(row for row in results[kind] if row.items() >= key.items())
  found = synthesis.measure(point)
  assert (found.area, found.path, found.power) == (
    row['area'], row['path'], row['power']
  )


@pytest.mark.parametrize('simd', synthesis_parts.SIMD)
@pytest.mark.parametrize('lanes', [2, 16])
@pytest.mark.parametrize('library', sorted(synthesis.LIBRARIES))
def test_narrow_is_smaller(simd, lanes, library):
  path = synthesis_parts.RESULTS / f'synthesis_{library}.json'
  parts = areas.read(path)
  narrow, wide = (
    cost.map_array(
      cost.Array(simd=simd, bits=bits, norm=norm, lanes=lanes), parts
    )
    for bits, norm in ((8, 'shift'), (16, 'full'))
  )
  assert narrow.area < wide.area
  assert narrow.path < wide.path
  assert narrow.energy < wide.energy


def test_what_is_measured_already_stays(tmp_path, monkeypatch):
  def measure(point, library):
    return synthesis.Measured(1.0, 2.0, 3.0, 4.0)

  monkeypatch.setattr(synthesis, 'versions', lambda: {'yosys': '1'})
  monkeypatch.setattr(synthesis, 'measure', measure)
  options = ['--results', str(tmp_path), '--simd', '4', '--modes', 'wrap']
  synthesis_parts.main([*options, '--bits', '4'])
  first = json.loads((tmp_path / STORED.name).read_text())
  assert [len(first[kind]) for kind in ('units', 'elements', 'shared')] == [
    4, 1, 1,
  ]
  synthesis_parts.main([*options, '--bits', '4', '5'])
  second = json.loads((tmp_path / STORED.name).read_text())
  assert second['elements'][0] == first['elements'][0]
  assert [row['bits'] for row in second['elements']] == [4, 5]
  monkeypatch.setattr(synthesis, 'versions', lambda: {'yosys': '2'})
  with pytest.raises(errors.UserError, match='move it away'):
    synthesis_parts.main(options)
