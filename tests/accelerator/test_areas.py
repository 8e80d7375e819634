import json

import pytest

from bnn_jax import errors
from bnn_jax.accelerator import areas

WANTED = {
  'pes': 16, 'lanes': 16, 'simd': 16, 'bits': 8, 'overflow_mode': 'wrap',
  'norm': 'shift',
}


def written(folder):
  rows = {
    'elements': [{'simd': 16, 'bits': 8, 'overflow_mode': 'wrap', 'pes': 16}],
    'units': [{'norm': 'shift', 'bits': 8}],
    'shared': [],
  }
  results = {'library': 'cells', 'tools': {'yosys': '1'}}
  for kind, found in rows.items():
    results[kind] = [
      row | {'area': 2.0, 'path': 3.0, 'power': 5.0} for row in found
    ]
  path = folder / 'synthesis_osu018.json'
  path.write_text(json.dumps(results))
  return path


def test_parts_add_up(tmp_path):
  found = areas.read(written(tmp_path)).mapped(**WANTED)
  assert found == areas.Mapped(area=34.0, path=3.0, energy=255.0)


@pytest.mark.parametrize('change, said', [
  ({'bits': 6}, 'no elements of simd=16, bits=6, overflow_mode=wrap; .*'
   '--library osu018 --simd 16 --bits 6 --modes wrap'),
  ({'simd': 8}, '--simd 8 --bits 8 --modes wrap'),
  ({'norm': 'full'}, 'no units of norm=full, bits=8; .*--bits 8'),
  ({'lanes': 2}, 'no shared units; .*synthesis_parts --library osu018'),
])
def test_a_part_that_was_not_measured(tmp_path, change, said):
  parts = areas.read(written(tmp_path))
  with pytest.raises(errors.UserError, match=said):
    parts.mapped(**WANTED | change)


def test_no_results(tmp_path):
  with pytest.raises(errors.UserError, match='does not exist; make it with'):
    areas.read(tmp_path / 'synthesis_osu018.json')
