import pytest

from experiments import headline_claims
from experiments import headline_compare
from experiments import headline_networks
from experiments import headline_results

TEN = headline_networks.TEN


def result(name, accuracy=0.9, unfit=''):
  return headline_results.Result(
    name, 16, 'exact', accuracy, 0.001, 3, unfit, ''
  )


def comparison(name, less=0.8, faster=1.0, lanes=0.5, matched=True, **fields):
  if not matched:
    return headline_compare.Comparison(result(name, **fields), None)
  ours = headline_networks.Name('ours', 'S')
  match = headline_compare.Match(
    ours=result(ours)._replace(bits=7, overflow_mode='wrap'),
    arrangement='shared',
    less=dict.fromkeys(('operations', 'area_time', 'cells', 'table'), less),
    faster={'area': faster, 'elements': -0.25, 'lanes': lanes},
    waterfall={'network': 1.5, 'width': 0.7, 'shift': 1 - less},
    bound={'area_time': 0.1, 'cells': 0.2, 'area': -0.1}, threshold=-0.2,
    weights=3.0,
  )
  return headline_compare.Comparison(result(name), match)


@pytest.mark.parametrize('value, is_speed, words', [
  (0.4912, False, '49.1 % less'), (-1.5, False, '150.0 % more'),
  (0.21, True, '21.0 % faster'), (-0.5, True, '50.0 % slower'),
  (21.7506, True, '2,175.1 % faster'),
])
def test_amounts(value, is_speed, words):
  assert headline_claims.amount(value, is_speed) == words


def test_too_few_methods():
  compared = [comparison(name) for name in TEN[:5]]
  # A second size is no other method, and an extra is none of the ten.
  compared += [
    comparison(headline_networks.Name('crnn', 'L')),
    comparison(headline_networks.EXTRAS[0]),
    comparison(TEN[5], matched=False, unfit='undertrained'),
    comparison(TEN[6], matched=False, accuracy=0.99),
    comparison(TEN[7], matched=False, accuracy=0.0, unfit='not run'),
  ]
  assert headline_claims.sentences(compared) == [
    '5 of the ten methods can be compared (cnn_trad_fpool3, crnn, ds_cnn, res, '
    'tc_resnet), fewer than 6: nothing is claimed.',
    'Not compared, undertrained: matchboxnet 3x1x64 (90.0 %).',
    'Not compared, no network of ours is as accurate: mhatt_rnn paper '
    '(99.0 %).',
    'Not compared, not run: kwt 1.',
  ]


def test_claims():
  compared = [comparison(name) for name in TEN[:5]]
  compared.append(comparison(TEN[5], less=0.5, faster=0.3, lanes=None))
  compared.append(comparison(headline_networks.EXTRAS[0], less=-0.25))
  found = headline_claims.sentences(compared)
  assert found[0] == (
    'Compared with 6 binary twins of 6 of the ten methods, each with the '
    'smallest of our networks that leads it by at least the standard error of '
    'the difference.'
  )
  assert found[2] == (
    'On-chip computation by (b), area x busy time: 50.0 % less than the best '
    'of the 6 twins (matchboxnet 3x1x64), 80.0 % less than the worst '
    '(cnn_trad_fpool3).'
  )
  assert found[5] == (
    'Time of an inference on the same area: 30.0 % faster than the best of the '
    '6 twins (matchboxnet 3x1x64), 100.0 % faster than the worst '
    '(cnn_trad_fpool3).'
  )
  assert 'of the 5 twins' in found[7]
  twin = 'cnn_trad_fpool3'
  assert found[8:12] == [
    f'{words}: {amount} than the best of the 6 twins ({twin}), {amount} than '
    f'the worst ({twin}).' for words, amount in (
      ('By (b), were the twins on 16 bits with thresholds', '20.0 % more'),
      ('By (b), were the twins on arrays that suit them', '10.0 % less'),
      ('By (c), cells, were the twins on arrays that suit them', '20.0 % less'),
      ('Time on the same area, were twins on arrays that suit them',
       '10.0 % slower'),
    )
  ]
  assert found[12:14] == [
    'On-chip computation by (b), area x busy time: at least 49.1 % less than 6 '
    'of 6 twins.',
    'On-chip computation by (b), area x busy time: at least 70.0 % less than 5 '
    'of 6 twins, but not than matchboxnet 3x1x64 (50.0 % less).',
  ]
  why = (
    'Of {}: ours S, wrap 7 takes 150 % of its area x time on the same array, '
    '70 % with the narrow accumulator, {} % with shift units; it has 300 % of '
    'its bits of weights.'
  )
  assert found[20:] == [
    why.format('matchboxnet 3x1x64', 50),
    'Beside the ten: 25.0 % more by (b) than dnn S, and 100.0 % faster on the '
    'same area. ' + why.format('dnn S', 125),
  ]
