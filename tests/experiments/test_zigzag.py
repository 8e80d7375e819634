import importlib.util

import pytest

from experiments import zigzag

MISSING = importlib.util.find_spec('zigzag') is None


@pytest.mark.parametrize('name, cycles', [
  ('stem, one part', 25 * 6 * 6), ('block 0', 25 * 6 * 10),
  ('64 to 40, 5', 49 * 3 * 5),
])
def test_our_cycles(name, cycles):
  assert zigzag.array_cycles(*zigzag.LAYERS[name][:4]) == cycles


@pytest.mark.skipif(
  MISSING, reason='zigzag-dse is missing; run experiments/zigzag.sh instead.'
)
@pytest.mark.parametrize('layer', zigzag.LAYERS.values(), ids=zigzag.LAYERS)
def test_cycles_agree(layer):
  expected = zigzag.array_cycles(*layer[:4])
  assert abs(zigzag.zigzag_cycles(*layer) / expected - 1) <= zigzag.LIMIT
