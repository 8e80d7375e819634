import pytest

from bnn_jax.accelerator import workload
from bnn_jax.models import methods
from experiments import headline_networks
from tests.experiments import headline_parts


@pytest.mark.parametrize('name, words', [
  (('ds_cnn', 'S'), 'ds_cnn S'), (('res', 'res8'), 'res res8'),
  (('cnn_trad_fpool3', 'trad-fpool3'), 'cnn_trad_fpool3'),
  (('ours', 'M'), 'ours M'),
])
def test_names(name, words):
  assert str(headline_networks.Name(*name)) == words


def test_ten_methods_and_two():
  ten = {name.method for name in headline_networks.TEN}
  extras = {name.method for name in headline_networks.EXTRAS}
  assert len(ten) == 10 and len(extras) == 2
  assert ten | extras == set(methods.BUILDERS)
  assert {name.method for name in headline_networks.REAL_PARTS} < ten


def test_layers_are_those_of_the_configuration():
  name = headline_networks.Name('dnn', 'S')
  published = headline_networks.layers(name, 'float')
  assert sum(row['macs'] for row in published) == 79_200
  # Thermometers of 8 levels for each of 25 x 10 features.
  twin = workload.layers(headline_networks.layers(name, 'binary'))
  assert [layer.operands for layer in twin] == [2000, 144, 144, 144]
  assert [layer.is_binary for layer in twin] == [True, True, True, False]


def test_ours_is_that_of_the_main_job():
  name = headline_networks.Name(headline_networks.OURS, 'S')
  rows = headline_networks.layers(name, 'overflow')
  assert [row['path'] for row in rows if row['macs']][0] == 'stem'
  assert {layer.parts for layer in workload.layers(rows)} == {1, 4}
  cut = headline_networks.layers(name, 'overflow', 'accumulator_bits=7')
  assert {layer.parts for layer in workload.layers(cut)} == {1, 2, 8}


def test_an_array_that_suits_a_network_better():
  depthwise = headline_parts.layer(
    channels=1, outputs=32, groups=32, additions=5
  )
  attention = headline_parts.layer(macs=99, macs_by_width={'32x32': 99})
  mixed = headline_parts.layer(
    macs=99, macs_by_width={'1x32': 40, '32x32': 59}
  )
  found = headline_networks.generous([depthwise, attention, mixed])
  assert found[0] == depthwise | {'groups': 1}
  assert [row['macs'] for row in found] == [depthwise['macs'], 0, 40]
  assert found[2]['macs_by_width'] == {'1x32': 40}
  # 16 elements of 8 lanes take a third of 32 words at a time.
  shape = workload.layers(found)[0].shape(8)
  assert (shape.groups, shape.outputs, shape.channels) == (1, 32, 1)
