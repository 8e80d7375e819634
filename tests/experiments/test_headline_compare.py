import pytest

from experiments import headline_compare
from experiments import headline_costs
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
    headline_networks, 'layers',
    lambda name, variant, options='': ROWS[name.size],
  )


def result(method, size, accuracy, bits=16, mode='exact', unfit=''):
  name = headline_networks.Name(method, size)
  return headline_results.Result(
    name, bits, mode, accuracy, None, 1, unfit, 'python'
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
  # 16 lanes and 3 words an output, on 16 elements. The twin's 96 um2 each and 4
  # units of 1600 take 4 ns, and 4 cycles an output, as each unit serves 4; ours
  # take 56 each with 8 units of 80 and 2 ns, and 3 cycles an output.
  assert match.arrangement == 'shared'
  theirs = (16 * 96 + 4 * 1600) * 4 * (199 * 4 + 25)
  ours = (16 * 56 + 8 * 80) * 2 * (99 * 3 + 23)
  assert match.less['area_time'] == pytest.approx(1 - ours / theirs)
  assert match.waterfall['shift'] == pytest.approx(ours / theirs)
  assert match.waterfall['network'] == pytest.approx(
    (99 * 4 + 25) / (199 * 4 + 25)
  )
  assert match.faster['elements'] == pytest.approx(4 * 821 / (2 * 320) - 1)
  assert match.faster['lanes'] == match.faster['elements']
  # 8 thresholds of 16 um2 leave 3 cycles an output.
  thresholds = (16 * 96 + 8 * 16) * 4 * (199 * 3 + 23)
  assert match.threshold == pytest.approx(1 - ours / thresholds)
  assert match.weights == 1.0
  # Nothing of it could run on a better array.
  assert match.bound['area_time'] == match.less['area_time']
  assert match.bound['cells'] == match.less['cells']
  assert match.bound['area'] == match.faster['area']


def test_the_bound_is_of_an_array_that_suits_the_twin():
  match = compare(result('ds_cnn', 'depthwise', 0.90))[0].match
  rows = ROWS['depthwise']
  usual, suited = (
    min(
      (headline_costs.best(points) for points in headline_costs.points(
        each, headline_costs.USUAL, PARTS
      ).values()), key=lambda point: point.area_time,
    ) for each in (rows, headline_networks.generous(rows))
  )
  ours = headline_costs.best(headline_costs.points(
    ROWS['S'], match.ours.machine, PARTS
  )[match.arrangement])
  for name in ('area_time', 'cells'):
    mine, theirs, better = (
      getattr(point, name) for point in (ours, usual, suited)
    )
    assert match.less[name] == pytest.approx(1 - mine / theirs)
    assert match.bound[name] == pytest.approx(1 - mine / better)
    assert better < theirs
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
