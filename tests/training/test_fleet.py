import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnn_jax import errors
from bnn_jax.data import on_device
from bnn_jax.data import pipeline
from bnn_jax.models import speech_resnet
from bnn_jax.training import fleet
from bnn_jax.training import inputs
from bnn_jax.training import setup
from bnn_jax.training import state as state_lib
from bnn_jax.training import steps as steps_lib
from configs import kws
from tests import tiny

SIZE = (speech_resnet.Stem(4, groups=2), (speech_resnet.Stage(4, 1),))
# Two epochs of two steps, and two clips left over.
CLIPS, EPOCH_STEPS = 12, 2
SHARED = {
  'front_end.mel_bins': 8, 'front_end.hop_ms': 80.0, 'model.size': 'tiny',
  'model.thermometer_levels': 3,
  'accumulator.bits': 3, 'accumulator.simd': 4,
  'augmentation.time_masks_number': 1, 'augmentation.time_mask_max_size': 3,
  'training.batch_size': 5, 'training.epochs': 2, 'training.gate_share': 0.5,
  'training.input_clips': 12,
}
MEMBERS = (
  {},
  {'seed': 1},
  # Other numbers on the batches of the first.
  {'optimizer.learning_rate': 0.004, 'optimizer.latent_learning_rate': 0.016,
   'optimizer.weight_decay': 0.125, 'optimizer.gradient_norm': 1.0,
   'optimizer.label_smoothing': 0.25, 'penalty.weight': 0.25,
   'penalty.margin': 0.5, 'penalty.final': 0.25, 'distillation.weight': 0.25,
   'distillation.temperature': 4.0},
  # The numbers of the first on other batches.
  {'augmentation.attenuation_db': 9.0, 'augmentation.time_shift_ms': 10.0},
)


@pytest.fixture(scope='module', autouse=True)
def size():
  """The network's size is in the table for these tests only."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(speech_resnet.SIZES, 'tiny', SIZE)
    yield


def config(**changes):
  made = kws.get_config('smoke').unlock()
  made.update_from_flattened_dict(SHARED | changes)
  return made


def teacher(q):
  """Answers that follow the loudness of five stretches of a clip."""
  parts = jnp.array_split(q[:, :10].astype(jnp.float32), 5, axis=1)
  loud = jnp.stack([part.mean((1, 2)) for part in parts], axis=-1)
  return jnp.pad(loud / 32, ((0, 0), (0, 7)))


def start(made, split):
  """The state with which the loop begins."""
  state = state_lib.create(
    setup.model(made), setup.optimizer(made, 2 * EPOCH_STEPS), seed=made.seed,
    **setup.input_shape(made),
  )
  fitted = inputs.fit(
    split, front_end=setup.front_end(made), clips=12, bits=8,
    fitted=state.inputs,
  )
  return state.replace(inputs=fitted)


def compiled_step(made):
  step = setup.train_step(made, setup.model(made), 2 * EPOCH_STEPS, teacher)
  return jax.jit(step, compiler_options=steps_lib.compiler_options())


def alone(made, split, step):
  """The states after each epoch and the means of each, by the loop's step."""
  state = start(made, split)
  batches = pipeline.train_iterator(
    split, batch_size=5, seed=made.seed, augmentation=setup.augmentations(made),
    threads=0,
  )
  states, means = [], []
  for _ in range(2):
    total = None
    for _ in range(EPOCH_STEPS):
      state, observed = step(state, next(batches))
      total = observed if total is None else total.merge(observed)
    states.append(jax.device_get(state))
    means.append(total.compute())
  return states, means


@pytest.fixture(scope='module')
def trained():
  """Each epoch's states and metrics of the fleet, and those of its members."""
  split = tiny.Split(CLIPS)
  configs = [config(**changes) for changes in MEMBERS]
  clips = on_device.load(split)
  epochs = [
    (jax.device_get(states), values)
    for states, values in fleet.train(configs, split, clips, teacher)
  ]
  # A program for the numbers of the first, and one for those of the third.
  common, other = compiled_step(configs[0]), compiled_step(configs[2])
  members = [
    alone(made, split, other if i == 2 else common)
    for i, made in enumerate(configs)
  ]
  return epochs, members


def test_a_member_is_what_the_loop_would_train(trained):
  """To 1e-5, of numbers up to 1 that moved by some 0.01.

  Batched, sums over a batch are formed in another order, and a number that
  the program takes is rounded to float32 before it is computed with. Both
  change gradients by some 1e-7 of them, and Adam divides by their size. What
  has no gradient, such as the weight of an input that is the same in a whole
  batch before its mean is taken out, Adam moves by rounding alone: few may
  differ by more, and by no more than the steps are wide.
  """
  epochs, members = trained
  for epoch, (states, values) in enumerate(epochs):
    for i, (alone_states, alone_values) in enumerate(members):
      found, expected = fleet.member(states, i), alone_states[epoch]
      assert found.step == expected.step == EPOCH_STEPS * (epoch + 1)
      assert np.array_equal(found.rng, expected.rng)
      apart = np.concatenate([
        np.abs(value - other).ravel()
        for value, other in zip(
          jax.tree.leaves(found.params), jax.tree.leaves(expected.params),
          strict=True,
        )
      ])
      assert np.mean(apart < 1e-5) > 0.97
      assert apart.max() < 2 * 0.016 * 2 * EPOCH_STEPS
      for value, other in zip(
        jax.tree.leaves(found.batch_stats),
        jax.tree.leaves(expected.batch_stats), strict=True,
      ):
        np.testing.assert_allclose(value, other, rtol=1e-4, atol=1e-4)
      assert values[i].keys() == alone_values[epoch].keys()
      for name, value in values[i].items():
        assert value == pytest.approx(
          alone_values[epoch][name], rel=1e-4, abs=1e-6
        ), name


def test_members_start_from_their_seeds_and_move(trained):
  split = tiny.Split(CLIPS)
  states = trained[0][-1][0]
  for i in (0, 1):
    before = start(config(seed=i), split)
    after = fleet.member(states, i)
    for (path, old), new in zip(
      jax.tree_util.tree_leaves_with_path(before.params),
      jax.tree.leaves(after.params), strict=True,
    ):
      assert np.abs(old - new).max() > 1e-3, path
    for old, new in zip(
      jax.tree.leaves(before.inputs), jax.tree.leaves(after.inputs),
      strict=True,
    ):
      assert np.array_equal(old, new)


def test_members_differ_in_their_numbers(trained):
  (_, values), _ = trained[0]
  # Linear warm-up over one step, then a cosine over three.
  shares = np.array([0.0, 1.0])
  assert values[0]['learning_rate'] == pytest.approx(0.008 * shares.mean())
  assert values[2]['learning_rate'] == pytest.approx(0.004 * shares.mean())
  assert values[0]['penalty_weight'] == pytest.approx(
    12 * values[2]['penalty_weight']
  )
  assert values[2]['penalty'] > values[0]['penalty']
  for i, j in ((0, 1), (0, 2), (0, 3), (2, 3)):
    one, other = (
      fleet.member(trained[0][-1][0], k).params['stem']['latent']
      for k in (i, j)
    )
    assert np.abs(one - other).max() > 1e-3


def first(*changes, clips=CLIPS):
  split = tiny.Split(clips)
  configs = [config(**change) for change in changes]
  return next(fleet.train(configs, split, on_device.load(split)))


@pytest.mark.parametrize('key, value', [
  ('training.epochs', 3), ('accumulator.bits', 4), ('model.size', 'S'),
  ('augmentation.time_masks_number', 2), ('optimizer.warmup_share', 0.5),
  ('penalty.kind', 'variance'), ('distillation.teacher', 'folder'),
])
def test_members_of_different_programs_are_refused(key, value):
  with pytest.raises(errors.UserError, match=f'differ in {key}; they may'):
    first({}, {key: value})


def test_a_bad_member_is_refused():
  with pytest.raises(errors.UserError, match='optimizer.gradient_norm=-1.0'):
    first({}, {'optimizer.gradient_norm': -1.0})


@pytest.mark.parametrize('loss', [np.nan, np.inf])
def test_a_loss_that_is_not_finite_is_named(loss, monkeypatch):
  def make_epoch(*arguments):
    means = steps_lib.metrics.Means(
      {'loss': np.array([1.0, loss])}, {'loss': np.array([2.0, 2.0])}
    )
    return lambda states, *rest: (states, means)

  monkeypatch.setattr(fleet, '_make_epoch', make_epoch)
  with pytest.raises(
    errors.UserError, match='the loss of seed 7 is (nan|inf) in epoch 1; lower'
  ):
    first({}, {'seed': 7})
