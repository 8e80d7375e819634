"""The walk through the layers, its guard, and what it observes."""

from flax import traverse_util
import jax
import numpy as np
import pytest

from bnn_jax.export import specs
from bnn_jax.export import trace
from bnn_jax.jobs import graph
from bnn_jax.jobs import layerwise
from bnn_jax.nn import accumulator as accumulator_lib
from bnn_jax.training import calibration
from tests import tiny

EXACT = accumulator_lib.Accumulator(4, 'exact', 8)


class Network:
  """A network with a register, the same with exact ones, and some clips."""

  def __init__(
    self, register=tiny.REGISTER, variables=None, reference_bits=None
  ):
    model = tiny.network(register, learn_preload=True)
    # They do not depend on the register.
    self.variables = variables or tiny.state(model).variables()
    self.layers = trace.trace(
      model, self.variables, **tiny.SHAPE, input_bits=8
    )
    self.names = layerwise.observed_names(self.layers)
    shape = 12, *tiny.SHAPE.values()
    q = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    wide = accumulator_lib.Accumulator(
      reference_bits or register.bits, 'exact', register.simd, register.unit
    )
    exact = tiny.network(wide, learn_preload=True)
    self.narrow = graph.Observer(model, self.names, q)
    self.exact = graph.Observer(exact, self.names, q)
    self.models, self.q = (model, exact), q

  def calibrate(self, cross_entropies) -> layerwise.Outcome:
    """By a guard that sees these, one after the other."""
    values = iter(cross_entropies)
    return layerwise.calibrate(
      self.layers, self.variables, narrow=self.narrow, exact=self.exact,
      judge=lambda deployed: layerwise.Judgement(next(values), 0.5),
    )


@pytest.fixture(scope='module')
def network():
  return Network()


def same(tree, other) -> bool:
  equal = jax.tree.map(np.array_equal, tree, other)
  return all(jax.tree.leaves(equal))


def test_what_gets_better_is_kept(network):
  outcome = network.calibrate(np.arange(100.0, 0, -1))
  assert outcome.before.cross_entropy == 100.0
  counts = outcome.counts
  # A stem and two blocks, of which the last has no sign.
  assert [counts[kind].layers for kind in layerwise.KINDS] == [3, 3, 2, 1]
  assert [counts[kind].channels for kind in layerwise.KINDS] == [28, 28, 16, 5]
  assert all(count.refused == 0 < count.changed for count in counts.values())
  assert outcome.after.cross_entropy >= 100 - 9
  old = network.variables['deployed']
  assert not same(outcome.deployed, old)
  # What no search is for stays.
  assert same(
    outcome.deployed['block0']['tail']['activation'],
    old['block0']['tail']['activation'],
  )
  for path, one in jax.tree_util.tree_leaves_with_path(outcome.deployed):
    assert one.dtype == np.int32, path


def test_as_good_is_kept(network):
  kept = network.calibrate([1.0] * 10)
  better = network.calibrate(np.arange(100.0, 0, -1))
  assert same(kept.deployed, better.deployed)


def test_what_gets_worse_is_refused(network):
  outcome = network.calibrate([1.0] + [1.5] * 9)
  assert same(outcome.deployed, network.variables['deployed'])
  for count in outcome.counts.values():
    assert count.changed == 0 < count.refused
  assert outcome.after == outcome.before


def test_one_refusal_leaves_the_others(network):
  # The first proposal, that of the stem's preload, is refused.
  outcome = network.calibrate([1.0, 2.0] + [1.0] * 8)
  preload = outcome.counts['preload']
  assert (preload.layers, preload.refused) == (3, 1)
  old = network.variables['deployed']
  assert same(outcome.deployed['stem'], old['stem'])
  assert not same(outcome.deployed['block0']['conv'], old['block0']['conv'])


def test_the_guard_compares_with_what_was_kept(network):
  # The second is better than the start, and worse than the first.
  outcome = network.calibrate([10.0, 5.0, 7.0] + [5.0] * 7)
  assert sum(count.refused for count in outcome.counts.values()) == 1
  assert outcome.counts['normalization'].refused == 1
  assert outcome.after.cross_entropy == 5.0


def test_exact_registers_leave_nothing_to_change(network):
  outcome = Network(EXACT, network.variables).calibrate([1.0] * 10)
  counts = outcome.counts
  assert [counts[kind].layers for kind in layerwise.KINDS] == [0, 3, 2, 1]
  assert all(count.changed == 0 for count in counts.values())


@pytest.fixture(scope='module', params=['dot', 'popcount'])
def of_unit(request, network):
  """Its register, and the network behind it."""
  register = accumulator_lib.Accumulator(4, 'wrap', 5, request.param)
  return register, Network(register, network.variables)


def test_exact_sums_are_in_units_of_the_register(of_unit):
  register, network = of_unit
  conv = next(one for one in network.layers if isinstance(one, specs.Conv))
  sums = network.narrow.exact_sums(network.variables, conv.name, 4)
  result = network.exact.outputs(network.variables, conv.name)
  held = np.asarray(register.register(sums))
  if register.unit == 'popcount':
    result = (result + conv.odd_words) // 2
    held = 2 * held - conv.odd_words
  assert np.array_equal(sums, result)
  assert sums.max() > 7
  assert np.array_equal(
    network.narrow.outputs(network.variables, conv.name), held
  )


def test_preload_is_taken_out_behind_the_register(of_unit):
  """Without overflow the normalization gives what it gave, but for floors."""
  register, network = of_unit
  # Registers of 12 bits hold the preloads whole.
  network = Network(register, network.variables, reference_bits=12)
  search = layerwise._Search(
    network.layers, network.variables, network.narrow, network.exact
  )
  proposal = next(search.proposals())
  assert proposal.kind == 'preload'
  assert proposal.changed.any()
  moved = network.variables | {'deployed': search.deployed(proposal.constants)}
  name = 'stem_tail/norm'
  before = network.exact.outputs(network.variables, name)
  after = network.exact.outputs(moved, name)
  left = network.variables['deployed']['stem_tail']['norm']['shift'] >= 0
  assert np.array_equal(before[:, left], after[:, left])
  assert np.abs(before - after).max() <= 1
  sums = network.exact.outputs(network.variables, 'stem')
  assert not np.array_equal(network.exact.outputs(moved, 'stem'), sums)


def test_each_search_sees_what_was_kept_and_aims_at_the_first_network(network):
  """Recomputed by hand, all proposals before having been kept."""
  search = layerwise._Search(
    network.layers, network.variables, network.narrow, network.exact
  )
  start, by_name = network.variables, {one.name: one for one in network.layers}
  seen = set()
  for proposal in search.proposals():
    now = start | {'deployed': search.deployed()}
    paths = {'/'.join(path[:-1]): path for path in proposal.constants}
    name, path = next(iter(paths.items()))
    layer = by_name[name]
    if proposal.kind == 'normalization':
      found = [proposal.constants[(*path[:-1], key)]
               for key in ('shift', 'bias')]
      wanted = calibration.normalization(
        network.narrow.outputs(now, layer.inputs[0]),
        network.exact.outputs(start, name),
        *search._of(layer, 'shift', 'bias'), bits=layer.stream.bits,
      )
    elif proposal.kind == 'threshold':
      found = [proposal.constants[path]]
      wanted = [calibration.threshold(
        network.narrow.outputs(now, layer.inputs[0]),
        network.exact.outputs(start, name) > 0, *search._of(layer, 'theta'),
      )]
    else:
      found = wanted = []
    for one, other in zip(found, wanted, strict=True):
      assert np.array_equal(one, other), name
    seen.add(proposal.kind)
    search.keep(proposal.constants)
  assert seen == set(layerwise.KINDS)


def test_what_a_narrower_register_clips_of_a_preload_is_made_up(network):
  variables = jax.tree.map(np.asarray, network.variables)
  flat = traverse_util.flatten_dict(dict(variables['deployed']))
  path = ('stem', 'preload')
  # The register of 4 bits holds 7 of it.
  flat[path] = np.full_like(flat[path], 11)
  wide = variables | {'deployed': traverse_util.unflatten_dict(flat)}
  search = layerwise._Search(
    network.layers, wide, network.narrow, network.exact
  )
  proposal = next(search.proposals())
  new = proposal.constants[path]
  assert proposal.changed.any()
  assert np.array_equal(new == 11, ~proposal.changed)
  tail = ('stem_tail', 'norm')
  expected = calibration.moved_bias(
    flat[(*tail, 'bias')], flat[(*tail, 'shift')], new - 11
  )
  assert np.array_equal(proposal.constants[(*tail, 'bias')], expected)


def test_outputs_are_those_of_the_graph(network, monkeypatch):
  expected = graph.layers(
    network.models[0], network.variables, network.q, network.names
  )
  # In batches, the last of which is not full.
  monkeypatch.setattr(graph, '_BATCH', 5)
  for name in network.names:
    found = network.narrow.outputs(network.variables, name)
    assert np.array_equal(found, expected[name].reshape(found.shape))


def test_of_many_samples_some_are_observed(network, monkeypatch):
  name = 'block1/conv'
  every = network.narrow.outputs(network.variables, name)
  monkeypatch.setattr(graph, 'SAMPLES', len(every) // 3)
  some = network.narrow.outputs(network.variables, name)
  assert len(every) // 4 < len(some) <= len(every) // 3
  assert np.array_equal(some, every[::len(every) // len(some)][:len(some)])
