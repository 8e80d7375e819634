import pytest

from experiments import headline_compare
from experiments import headline_networks
from experiments import headline_results
from tests.experiments import headline_parts

PARTS = headline_parts.PARTS
# Of a network by its size: ours halves the twin's positions.
ROWS = {
  'S': [headline_parts.layer(positions=100)],
  'M': [headline_parts.layer(positions=150)],
  'depthwise': [
    headline_parts.layer(positions=200, channels=1, groups=16),
    headline_parts.layer('scores', macs_by_width={'32x32': 7680}),
  ],
  'dense': [headline_parts.layer(positions=200)],
}


@pytest.fixture(autouse=True)
def networks(monkeypatch):
  monkeypatch.setattr(
    headline_networks, 'layers', lambda name, variant: ROWS[name.size]
  )


def result(method, size, accuracy, bits=16, mode='exact', unfit=''):
  name = headline_networks.Name(method, size)
  return headline_results.Result(
    name, bits, mode, accuracy, 0.001, 3, unfit, 'python'
  )


def compare(*twins):
  ours = (
    result('ours', 'S', 0.90, 8, 'wrap'), result('ours', 'M', 0.95, 8, 'wrap'),
    result('ours', 'M', 0.94, 7, 'wrap'),
  )
  accuracies = headline_results.Accuracies('clips', twins, ours)
  return headline_compare.compare(accuracies, PARTS)


def test_by_hand():
  found, = compare(result('ds_cnn', 'dense', 0.90))
  match = found.match
  assert found.reason == '' and str(match.ours) == 'ours S, wrap 8'
  # A word a cycle: 16 lanes, of which pairs of elements share a unit. The twin
  # takes 2 x 96 + 1600 a pair and 4 ns, ours 2 x 56 + 80 and 2 ns, for 600 and
  # 300 words and 13 + 3 + 2 cycles, and 2 for the second of a pair.
  assert match.arrangement == 'shared'
  cost = (192 * 2 * 320) / (1792 * 4 * 620)
  assert match.less['area_time'] == pytest.approx(1 - cost)
  assert match.waterfall['shift'] == pytest.approx(cost)
  assert match.waterfall['network'] == pytest.approx(320 / 620)
  assert match.faster['elements'] == pytest.approx(4 * 620 / (2 * 320) - 1)
  assert match.faster['lanes'] == match.faster['elements']
  # Thresholds take 16 of an element: private, 112 and 618 cycles of 4 ns.
  assert match.threshold == pytest.approx(
    1 - (192 * 8 * 2 * 320) / (208 * 8 * 4 * 620)
  )
  # Nothing of it could run on a better array.
  assert match.bound['area_time'] == match.less['area_time']
  assert match.bound['area'] == match.faster['area']


def test_the_bound_is_of_an_array_that_suits_the_twin():
  match = compare(result('ds_cnn', 'depthwise', 0.90))[0].match
  assert match.bound['area_time'] < match.less['area_time'] - 0.1
  assert match.bound['area'] < match.faster['area']


def test_our_network_follows_the_accuracy():
  found = compare(*(
    result('ds_cnn', 'dense', accuracy) for accuracy in (0.9, 0.91, 0.95, 0.96)
  ))
  assert [str(each.match and each.match.ours) for each in found] == [
    'ours S, wrap 8', 'ours M, wrap 7', 'ours M, wrap 8', 'None',
  ]
  assert found[3].reason == 'no network of ours is as accurate'


def test_what_cannot_be_compared():
  found = compare(
    result('ds_cnn', 'dense', 0.9, unfit='undertrained'),
    result('dnn', 'dense', 0.9), result('res', 'dense', 0.99),
    result('crnn', 'dense', 0.5),
  )
  assert found[0].match is None and found[0].reason == 'undertrained'
  assert headline_compare.of_the_ten(found) == [found[3]]
