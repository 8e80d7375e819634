"""Parameters and multiply-accumulates of every published size, exactly."""

import flax.linen as nn
import jax
import pytest

from bnn_jax import errors
from bnn_jax.models import costs
from bnn_jax.nn import accumulator as accumulator_lib
from bnn_jax.nn import float_layers
from bnn_jax.nn import integer
from bnn_jax.training import setup
from tests import published

SETTINGS = {
  'accumulator': accumulator_lib.Accumulator(8, 'wrap'),
  'stream': integer.StreamFormat(8, 4), 'levels': 8, 'norm_variant': 'fused',
  'weight_gradient': 'hard_tanh', 'activation_gradient': 'approx_sign',
}

# Network, size, frames, features; parameters; MACs, and their millions as
# published or as the published layers make them.
COUNTS = [
  ('dnn', 'S', 25, 10, 79_644, 79_200, '0.0792'),
  ('dnn', 'M', 25, 10, 198_924, 198_144, '0.1981'),
  ('dnn', 'L', 25, 10, 495_744, 494_424, '0.4944'),
  ('ds_cnn', 'S', 49, 10, 23_180, 2_656_768, '2.66'),
  ('ds_cnn', 'M', 49, 10, 136_580, 9_816_384, '9.82'),
  ('ds_cnn', 'L', 49, 10, 413_736, 28_327_812, '28.33'),
  ('crnn', 'S', 49, 10, 75_432, 1_498_848, '1.50'),
  ('crnn', 'M', 49, 10, 189_032, 3_798_432, '3.80'),
  ('crnn', 'L', 49, 10, 485_004, 9_629_104, '9.63'),
  ('cnn_trad_fpool3', 'trad-fpool3', 49, 40, 523_776, 38_012_416, '38.01'),
  ('cnn_one_fstride4', 'one-fstride4', 49, 40, 148_496, 731_792, '0.732'),
  ('res', 'res8', 101, 40, 110_307, 37_175_490, '37.2'),
  ('res', 'res8-narrow', 101, 40, 19_905, 7_026_618, '7.03'),
  ('res', 'res15', 101, 40, 237_882, 958_813_740, '958.8'),
  ('res', 'res15-narrow', 101, 40, 42_648, 171_328_548, '171.3'),
  ('res', 'res26', 101, 40, 438_357, 439_036_740, '439.0'),
  ('res', 'res26-narrow', 101, 40, 78_387, 78_667_068, '78.7'),
  ('tc_resnet', '8', 98, 40, 65_168, 1_522_560, '1.52'),
  ('tc_resnet', '8-1.5', 98, 40, 144_264, 3_284_208, '3.28'),
  ('tc_resnet', '14', 98, 40, 135_856, 3_030_528, '3.03'),
  ('tc_resnet', '14-1.5', 98, 40, 303_000, 6_677_136, '6.68'),
  ('matchboxnet', '3x1x64', 98, 64, 74_892, 9_192_960, '9.19'),
  ('matchboxnet', '3x2x64', 98, 64, 90_444, 11_134_464, '11.13'),
  ('bc_resnet', '1', 101, 40, 9_232, 2_482_156, '2.48'),
  ('bc_resnet', '1.5', 101, 40, 17_154, 4_607_994, '4.61'),
  ('bc_resnet', '2', 101, 40, 27_284, 7_323_672, '7.32'),
  ('bc_resnet', '3', 101, 40, 54_168, 14_524_548, '14.5'),
  ('bc_resnet', '6', 101, 40, 187_812, 50_283_336, '50.3'),
  ('bc_resnet', '8', 101, 40, 321_068, 85_919_328, '85.9'),
  ('kwt', '1', 98, 40, 607_308, 73_698_560, '73.7'),
  ('kwt', '2', 98, 40, 2_394_252, 264_182_272, '264'),
  ('kwt', '3', 98, 40, 5_360_844, 571_451_136, '571'),
  ('bifsmn', 'v1', 32, 32, 600_263, 5_431_296, '5.43'),
  ('bifsmn', 'v2', 32, 32, 600_263, 5_431_296, '5.43'),
  # Published as 743,047 and 756,711, with the running statistics.
  ('mhatt_rnn', 'paper', 49, 20, 743_025, 20_548_688, '20.5'),
  ('mhatt_rnn', 'new', 98, 40, 756_689, 42_466_880, '42.5'),
]

RUNNING = 'holds the running statistics of normalizations'
CLASSES = 'has 30 classes'
NORMALIZED = 'has 30 classes, and a product for each normalized number'
UNPADDED = 'counts the 99 x 38 positions without padding, and normalizations'
ELEMENTWISE = 'counts 98 frames, and element-wise products'
UNEXPLAINED = 'is quoted without its way of counting'
AS_PRINTED = 'is printed thus; the layers of its code make the count here'

# What the papers print, and why it is not our count where it is not. An
# operation is a multiplication or an addition. What is known by hearsay alone
# is left out, so that no row is of Hello Edge.
PRINTED = [
  ('res', 'res15', 'macs', '894M', UNPADDED),
  ('tc_resnet', '8', 'parameters', '66K', RUNNING),
  ('tc_resnet', '8', 'operations', '3.0M', None),
  ('tc_resnet', '14-1.5', 'parameters', '305K', RUNNING),
  ('tc_resnet', '14-1.5', 'macs', '6.7M', None),
  ('matchboxnet', '3x1x64', 'parameters', '77K', CLASSES),
  # As ds_tc_resnet.
  ('matchboxnet', '3x1x64', 'parameters', '75K', None),
  ('matchboxnet', '3x1x64', 'macs', '9.3M', NORMALIZED),
  ('matchboxnet', '3x2x64', 'parameters', '93K', CLASSES),
  ('matchboxnet', '3x2x64', 'macs', '11.3M', NORMALIZED),
  ('mhatt_rnn', 'paper', 'parameters', '743K', None),
  ('mhatt_rnn', 'paper', 'macs', '22.7M', UNEXPLAINED),
  ('mhatt_rnn', 'new', 'parameters', '750K', AS_PRINTED),
  ('kwt', '1', 'parameters', '607K', None),
  ('kwt', '2', 'parameters', '2.4M', None),
  ('kwt', '3', 'parameters', '5.5M', AS_PRINTED),
  ('bc_resnet', '1', 'parameters', '9.2K', None),
  ('bc_resnet', '1.5', 'parameters', '17.2K', None),
  ('bc_resnet', '2', 'parameters', '27.3K', None),
  ('bc_resnet', '3', 'parameters', '54.2K', None),
  ('bc_resnet', '6', 'parameters', '188K', None),
  ('bc_resnet', '8', 'parameters', '321K', None),
  ('bc_resnet', '1', 'macs', '3.1M', ELEMENTWISE),
  ('bc_resnet', '1.5', 'macs', '5.5M', ELEMENTWISE),
  ('bc_resnet', '2', 'macs', '8.5M', ELEMENTWISE),
  ('bc_resnet', '3', 'macs', '16.2M', ELEMENTWISE),
  ('bc_resnet', '6', 'macs', '53.1M', ELEMENTWISE),
  ('bc_resnet', '8', 'macs', '89.1M', ELEMENTWISE),
]

# Multiply-accumulates that stay real in the binary networks of the first size:
# scores and weighted means of the attentions.
REAL_MACS = {
  'kwt': 12 * 2 * 99 * 99 * 64,
  'mhatt_rnn': 2 * 4 * 49 * 256,
}


def network(name, size, variant='float', classes=12):
  return published.module(name).build(size, variant, classes, **SETTINGS)


def variables_of(model, frames, bins):
  q = jax.ShapeDtypeStruct((1, frames, bins), 'uint8')
  made = jax.eval_shape(
    lambda q: model.init(jax.random.key(0), q, train=False), q
  )
  return made, q


def number(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def products(model, frames, bins):
  variables, q = variables_of(model, frames, bins)
  return costs.products(jax.make_jaxpr(
    lambda variables, q: model.apply(variables, q, train=False)
  )(variables, q))


def millions(macs, digits):
  """`macs` with as many digits behind the point as `digits` has."""
  return f'{macs / 1e6:.{len(digits.partition(".")[2])}f}'


@pytest.mark.parametrize(
  'name, size, frames, bins, parameters, macs, rounded', COUNTS
)
def test_counts_are_the_published_ones(
  name, size, frames, bins, parameters, macs, rounded
):
  model = network(name, size)
  assert number(variables_of(model, frames, bins)[0]['params']) == parameters
  assert costs.total(products(model, frames, bins)) == macs
  assert millions(macs, rounded) == rounded


def as_printed(count, printed):
  """`count` with the unit and the digits of `printed`."""
  unit = printed[-1]
  digits = len(printed[:-1].partition('.')[2])
  return f'{count / {"K": 1e3, "M": 1e6}[unit]:.{digits}f}{unit}'


def counted(name, size, what):
  """As COUNTS has it, which is held against the model."""
  row = next(row for row in COUNTS if row[:2] == (name, size))
  if what == 'parameters':
    return row[4]
  return row[5] * (2 if what == 'operations' else 1)


@pytest.mark.parametrize('name, size, what, printed, reason', PRINTED)
def test_what_papers_print_is_our_count_or_explained(
  name, size, what, printed, reason
):
  agrees = as_printed(counted(name, size, what), printed) == printed
  assert agrees == (reason is None)


def printed_for(reason):
  return [row[:2] + row[3:4] for row in PRINTED if row[4] == reason]


def normalized(model, frames, bins):
  """How many numbers the network normalizes."""
  sizes = []

  def observe(call, arguments, options, context):
    if isinstance(context.module, float_layers.BatchNorm):
      sizes.append(arguments[0].size)
    return call(*arguments, **options)

  variables, q = variables_of(model, frames, bins)
  with nn.intercept_methods(observe):
    jax.eval_shape(
      lambda variables, q: model.apply(variables, q, train=False),
      variables, q,
    )
  return sum(sizes)


@pytest.mark.parametrize('name, size, printed', printed_for(RUNNING))
def test_papers_count_running_statistics(name, size, printed):
  variables, _ = variables_of(network(name, size), 98, 40)
  found = number((variables['params'], variables['batch_stats']))
  assert as_printed(found, printed) == printed


@pytest.mark.parametrize('name, size, printed', printed_for(CLASSES))
def test_papers_count_30_classes(name, size, printed):
  variables, _ = variables_of(network(name, size, classes=30), 98, 64)
  assert as_printed(number(variables['params']), printed) == printed


@pytest.mark.parametrize('name, size, printed', printed_for(NORMALIZED))
def test_papers_count_normalizations(name, size, printed):
  model = network(name, size, classes=30)
  found = costs.total(products(model, 98, 64)) + normalized(model, 98, 64)
  assert as_printed(found, printed) == printed


@pytest.mark.parametrize('name, size, printed', printed_for(UNPADDED))
def test_papers_count_positions_without_padding(name, size, printed):
  model = network(name, size)
  macs = costs.total(products(model, 99, 38))
  # One normalization of each two convolutions, and the last.
  found = macs + normalized(model, 99, 38) * 7 / 13
  assert as_printed(found, printed) == printed


def test_what_bc_resnet_counts_besides_grows_with_the_width():
  smallest, *_, largest = printed_for(ELEMENTWISE)
  for _, size, printed in (smallest, largest):
    macs = costs.total(products(network('bc_resnet', size), 98, 40))
    besides = float(printed[:-1]) * 1e6 - macs
    # Half a unit of the last digit printed.
    assert abs(besides - 717_000 * float(size)) < 50_000


def test_every_size_is_counted():
  counted = [row[:2] for row in COUNTS]
  assert sorted(counted) == sorted(
    (name, size)
    for name in published.TINY for size in published.module(name).SIZES
  )


@pytest.mark.parametrize('size, parameters, macs', [
  ('3x1x64', 77_214, '9.20'), ('3x2x64', 92_766, '11.14'),
])
def test_matchboxnet_is_published_with_30_classes(size, parameters, macs):
  model = network('matchboxnet', size, classes=30)
  assert number(variables_of(model, 98, 64)[0]['params']) == parameters
  assert millions(costs.total(products(model, 98, 64)), macs) == macs


@pytest.mark.parametrize('size, shape, parameters', [
  ('paper', (49, 20), 743_047), ('new', (98, 40), 756_711),
])
def test_mhatt_rnn_is_published_with_its_running_statistics(
  size, shape, parameters
):
  variables, _ = variables_of(network('mhatt_rnn', size), *shape)
  counted = number((variables['params'], variables['batch_stats']))
  assert counted == parameters


@pytest.mark.parametrize('name', published.TINY)
@pytest.mark.parametrize('variant, last', [
  ('binary', '1x32'), ('overflow', '1x8'), ('binary_firstlast8', '8x8'),
])
def test_all_products_but_the_last_are_binary(name, variant, last):
  _, size, frames, bins, *_ = next(r for r in COUNTS if r[0] == name)
  if variant == 'overflow' and name in (
    'bc_resnet', 'crnn', 'kwt', 'mhatt_rnn'
  ):
    last = '1x32'
  found = products(network(name, size, variant), frames, bins)
  widths = costs.by_width(found)
  assert set(widths) - {'32x32'} == {'1x1', last}
  assert widths.get('32x32', 0) == REAL_MACS.get(name, 0)
  if last != '8x8':
    (classifier,) = [p for p in found if p.weight_bits * p.input_bits > 1
                     and p.weight_bits == 1]
    assert classifier.macs % 12 == 0


def test_a_narrower_stream_is_counted_so():
  config = published.config('res', 'size=res15,variant=binary_firstlast8')
  found = products(setup.model(config), 101, 40)
  assert set(costs.by_width(found)) == {'1x1', '8x8', '8x6'}


@pytest.mark.parametrize('size, width', [('v1', '1x1'), ('v2', '1x2')])
def test_bifsmn_as_published(size, width):
  widths = costs.by_width(products(network('bifsmn', size, 'paper'), 32, 32))
  # The first convolution and the classifier are real.
  assert widths == {
    width: 5_431_296 - 114_688, '32x32': 16 * 16 * 16 * 25 + 1024 * 12
  }


@pytest.mark.parametrize('name', published.TINY)
def test_bad_sizes_and_variants(name):
  with pytest.raises(errors.UserError, match="size='XXL' does not exist"):
    network(name, 'XXL')
  with pytest.raises(errors.UserError, match="variant='ternary'"):
    network(name, next(iter(published.module(name).SIZES)), 'ternary')
