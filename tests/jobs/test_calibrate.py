"""From a workdir to a calibrated one, and what the other modes make of it."""

import contextlib
import io
import json
import pathlib
import shutil
import types

import jax
import ml_collections
import numpy as np
from orbax import checkpoint as ocp
import pytest
import rich.console

from bnn_jax import errors
from bnn_jax.data import labels
from bnn_jax.data import source as source_lib
from bnn_jax.data import wav
from bnn_jax.export import engines
from bnn_jax.export import files
from bnn_jax.jobs import calibrate
from bnn_jax.jobs import export
from bnn_jax.jobs import verify
from bnn_jax.report import calibration as calibration_report
from bnn_jax.training import checkpoints
from bnn_jax.training import evaluate
from bnn_jax.training import evaluator
from bnn_jax.training import inputs
from bnn_jax.training import preparation
from bnn_jax.training import setup
from bnn_jax.training import state as state_lib
from bnn_jax.training import workdir
from configs import kws
from tests import tiny

# Of the split `dev` are the speakers 7, 16, 21 and 26 alone.
SPEAKERS = (0, 1, 2, 7, 16, 21, 26)
WORDS = ('yes', 'no', 'bed')
NETWORK = {
  'front_end.mel_bins': 8, 'front_end.hop_ms': 80.0,
  'model.thermometer_levels': 3, 'model.shape': '8k3s2-12x1s2',
  'accumulator.bits': 4, 'accumulator.simd': 8,
  'data.training_split': 'fit',
}
STEP = 12


def config(data, **changes) -> ml_collections.ConfigDict:
  made = kws.get_config(f'smoke,data=folder,data_dir={data}').unlock()
  made.update_from_flattened_dict(NETWORK | changes)
  return made


def make_data(folder: pathlib.Path) -> pathlib.Path:
  """A noisy tone for each word and speaker."""
  random = np.random.default_rng(0)
  seconds = np.arange(16000) / 16000
  for i, word in enumerate(WORDS):
    (folder / word).mkdir(parents=True)
    for speaker in SPEAKERS:
      tone = 3000 * np.sin(2 * np.pi * (300 + 900 * i) * seconds)
      audio = tone + random.normal(0, 1000, len(tone))
      name = f'{word}/{speaker:08x}_nohash_0.wav'
      assert labels.is_dev(name) == (speaker > 2)
      wav.write(folder / name, audio.astype(np.int16))
  for split, speaker in (('validation', 0), ('testing', 1)):
    names = [f'{word}/{speaker:08x}_nohash_0.wav' for word in WORDS]
    (folder / f'{split}_list.txt').write_text('\n'.join(names) + '\n')
  return folder


def moved(path, value):
  """Parameters off their start, so that sums are not around 0."""
  if path[-1].key in ('latent', 'log_factor'):
    return value
  noise = np.random.default_rng(len(str(path))).normal(0, 0.3, value.shape)
  return value + noise.astype(np.float32)


def make_workdir(folder: pathlib.Path, made) -> pathlib.Path:
  """What a training would leave there: a configuration and a checkpoint."""
  workdir.prepare(folder, made.to_dict(), seed=0)
  model = setup.model(made)
  fresh = state_lib.create(
    model, setup.optimizer(made, 100), seed=0, **setup.input_shape(made)
  )
  fitted = inputs.fit(
    setup.open_split(made, 'fit'), front_end=setup.front_end(made), clips=9,
    bits=8, fitted=fresh.inputs,
  )
  state = fresh.replace(
    inputs=fitted, step=np.int32(STEP),
    params=jax.tree_util.tree_map_with_path(moved, fresh.params),
  )
  deploy = evaluator.deployer(model, **setup.input_shape(made))
  with contextlib.closing(
    checkpoints.manager(str(folder / workdir.CHECKPOINTS))
  ) as manager:
    checkpoints.save(manager, state_lib.replicate(deploy(state)), {})
  return folder


@pytest.fixture(scope='module')
def data(tmp_path_factory) -> pathlib.Path:
  return make_data(tmp_path_factory.mktemp('data') / 'words')


@pytest.fixture(scope='module')
def trained(data, tmp_path_factory) -> pathlib.Path:
  """A workdir; not to be changed."""
  folder = tmp_path_factory.mktemp('runs') / 'run'
  return make_workdir(folder, config(data))


@pytest.fixture(scope='module')
def done(trained, command):
  """The command line that calibrates it, run to its end."""
  plain = command.line('x')[:3]
  return command.run([*plain, f'--workdir={trained}', '--mode=calibrate'])


@pytest.fixture(scope='module')
def calibrated(trained, done) -> pathlib.Path:
  assert done.returncode == 0, done.stderr
  return trained.with_name('run-calibrated')


def own(folder: pathlib.Path) -> ml_collections.ConfigDict:
  return ml_collections.ConfigDict(workdir.read_config(folder))


@pytest.fixture(scope='module')
def state(calibrated) -> state_lib.TrainState:
  """Of the new workdir, as all other modes read it."""
  return evaluate.restore(own(calibrated), calibrated).state


def leaves_of(folder: pathlib.Path) -> dict[str, np.ndarray]:
  """Every array of the checkpoint by its path."""
  with ocp.CheckpointManager((folder / 'checkpoints').resolve()) as manager:
    assert manager.all_steps() == [STEP]
    state = manager.restore(
      STEP, args=ocp.args.Composite(state=ocp.args.StandardRestore())
    )['state']
  return {
    jax.tree_util.keystr(path): np.asarray(value)
    for path, value in jax.tree_util.tree_leaves_with_path(state)
  }


def test_command_line(done, calibrated):
  lines = done.stdout.splitlines()
  assert lines[-1] == f'calibrated: {calibrated}'
  record = json.loads((calibrated / 'calibration.json').read_text())
  assert record['step'] == STEP
  # 12 clips of four speakers, and as many of silence as commands have.
  clips = record['search_clips'] + record['guard_clips']
  assert clips == len(setup.open_split(own(calibrated), 'dev')) > 12
  assert record['kinds'].keys() == {
    'preload', 'normalization', 'threshold', 'classifier'
  }
  assert sum(kind['changed'] for kind in record['kinds'].values()) > 0
  before, after = record['before'], record['after']
  assert after['cross_entropy'] < before['cross_entropy']
  assert 'Calibrated for 4 bits, wrap, by ' in done.stdout
  assert f'before          {before["cross_entropy"]:.4f}' in done.stdout
  assert f'after           {after["cross_entropy"]:.4f}' in done.stdout


def test_configuration_and_parameters_of_the_new_workdir(trained, calibrated):
  changed = workdir.differences(trained, own(calibrated).to_dict())
  assert changed == {'model.learn_preload': (False, True)}
  old, new = leaves_of(trained), leaves_of(calibrated)
  for name, value in old.items():
    if not name.startswith(("['deployed']", "['opt_state']")):
      assert np.array_equal(new[name], value), name
  added = [name for name in new.keys() - old.keys() if 'params' in name]
  assert sorted(added) == [
    "['params']['block0']['conv']['preload']", "['params']['stem']['preload']"
  ]
  assert not any(new[name].any() for name in added)


def test_stored_integers_are_what_is_judged(calibrated, state):
  """The guard's numbers come out of the checkpoint, to the last digit."""
  made = own(calibrated)
  # They cannot be made from the parameters, which do not know of them.
  from_parameters = evaluator.deployer(
    setup.model(made), **setup.input_shape(made)
  )(state).deployed
  equal = jax.tree.map(np.array_equal, state.deployed, from_parameters)
  assert not all(jax.tree.leaves(equal))
  split = setup.open_split(made, 'dev')
  _, guarding = calibrate._halves(split)
  clips = evaluator.quantize_split(
    calibrate._Part(split, guarding), state.inputs,
    front_end=setup.front_end(made), input_bits=8,
  )
  judged = calibrate._judge(made, state, clips)(state.deployed)
  record = json.loads((calibrated / 'calibration.json').read_text())
  assert judged._asdict() == record['after']


def test_engines_agree_on_the_new_workdir(
  calibrated, state, tmp_path, monkeypatch
):
  # Other tests compile C; all that it reads is in the export.
  monkeypatch.setitem(engines.ENGINES, 'C', engines.ENGINES['C']._replace(
    missing=lambda: 'it is left out'
  ))
  restored = types.SimpleNamespace(state=state)
  monkeypatch.setattr(evaluate, 'restore', lambda *_: restored)
  folder = pathlib.Path(shutil.copytree(calibrated, tmp_path / 'run'))
  made = own(folder)
  path = export.run(made, folder)
  assert path == folder / 'export'
  assert any(
    getattr(one, 'preload', None) is not None and one.preload.any()
    for one in files.read(path).layers
  )
  lines: list[str] = []
  assert verify.run(
    made, folder, splits=['dev'], allow_missing=True, tell=lines.append
  )
  assert sum(': mismatches: 0 of ' in line for line in lines) >= 4


def test_evaluation_tells_what_the_split_was_used_for(calibrated):
  found = evaluate._calibrated_by(calibrated, 'dev')
  assert len(found) == 1
  assert found[0].startswith('the integers were calibrated by the clips of dev')
  assert evaluate._calibrated_by(calibrated, 'testing') == []
  assert evaluate._calibrated_by(calibrated.parent, 'dev') == []


def test_no_training_goes_on_there(calibrated):
  console = rich.console.Console(file=io.StringIO())
  with pytest.raises(errors.UserError, match='holds calibrated integers'):
    preparation.prepare(own(calibrated), calibrated, console)


def test_existing_folder_is_refused(trained, data, tmp_path):
  with pytest.raises(errors.UserError, match='exists already; .*--calibrated'):
    calibrate.run(config(data), trained, tmp_path)


def refused(folder, made, match):
  target = folder.with_name('new')
  with pytest.raises(errors.UserError, match=match):
    calibrate.run(made, folder, target)
  assert not target.exists()
  assert not list(folder.parent.glob('.new*'))


def test_clips_of_the_training_are_refused(data, tmp_path):
  made = config(data, **{'data.training_split': 'training'})
  workdir.prepare(tmp_path / 'run', made.to_dict(), seed=0)
  refused(tmp_path / 'run', config(data), 'data.training_split=fit')


@pytest.mark.parametrize('job', ['calibrate', 'evaluate'])
def test_the_exact_reference_has_the_registers_of_the_training(
  trained, data, tmp_path, monkeypatch, job
):
  """They hold preloads that a narrower register would clip."""
  bits = own(trained).accumulator.bits
  narrower = config(data, **{'accumulator.bits': bits - 1})
  made, without_overflow = [], setup.without_overflow

  def spy(*args):
    made.append(setup.accumulators(without_overflow(*args)).default)
    return without_overflow(*args)

  monkeypatch.setattr(setup, 'without_overflow', spy)
  copy = shutil.copytree(trained, tmp_path / 'run')
  if job == 'calibrate':
    calibrate.run(narrower, copy, tmp_path / 'new')
  else:
    evaluate.run(narrower, copy)
  assert [(one.bits, one.overflow_mode) for one in made] \
    == [(bits, 'exact')]


def test_other_data_are_refused(trained, data, tmp_path):
  made = config(data, **{'data.protocol': 'hello_edge'})
  with pytest.raises(errors.UserError, match='official., and .* .hello_edge'):
    calibrate.run(made, trained, tmp_path / 'new')


def test_a_folder_below_a_file_is_refused(trained, data, tmp_path):
  (tmp_path / 'file').touch()
  with pytest.raises(errors.UserError, match='file is a file; name another'):
    calibrate.run(config(data), trained, tmp_path / 'file' / 'new')


def test_real_network_is_refused(data, tmp_path):
  made = config(data, **{'model.variant': 'float'})
  workdir.prepare(tmp_path / 'run', made.to_dict(), seed=0)
  refused(tmp_path / 'run', made, r'no integers to calibrate \(it is real')


def layers_of(made, variables):
  state = types.SimpleNamespace(variables=lambda: variables)
  return calibrate._layers(made, state, pathlib.Path('runs/x'))


def test_real_stream_is_refused(data):
  made = config(data, **{'model.norm_variant': 'real'})
  q = np.zeros((1, *setup.input_shape(made).values()), np.uint8)
  variables = tiny.initialized(setup.model(made), q, train=False)
  with pytest.raises(
    errors.UserError, match=r'runs/x has no integers .*integer form\); choose'
  ):
    layers_of(made, variables)


@pytest.mark.parametrize('key, value', [
  ('accumulator.overflow_mode', 'exact'), ('accumulator.bits', 12),
  ('model.variant', 'binary'),
])
def test_registers_that_cannot_overflow_are_refused(state, data, key, value):
  variables = jax.tree.map(np.zeros_like, state.variables())
  settings = {'model.learn_preload': True}
  assert layers_of(config(data, **settings), variables)
  with pytest.raises(errors.UserError, match=r'can overflow\); .*--config'):
    layers_of(config(data, **settings, **{key: value}), variables)


class Named:
  """A split of clips that are names alone."""

  def __init__(self, *names):
    self._names = names

  def __len__(self):
    return len(self._names)

  def __getitem__(self, index):
    return source_lib.Clip(np.zeros(1), 0, self._names[index])


def test_halves_share_no_speaker():
  split = Named(
    'no/b_nohash_0.wav', 'no/c_nohash_0.wav', 'yes/a_nohash_0.wav',
    'yes/a_nohash_1.wav', 'yes/b_nohash_0.wav',
  )
  assert calibrate._halves(split) == ([1, 2, 3], [0, 4])
  with pytest.raises(errors.UserError, match='has 1 speakers'):
    calibrate._halves(Named('yes/a_nohash_0.wav', 'no/a_nohash_0.wav'))


def test_search_clips_are_spread():
  assert calibrate._spaced(range(10, 20), 4) == [10, 12, 15, 17]
  assert calibrate._spaced([3, 5], 4) == [3, 5]


def test_cross_entropy():
  logits = np.array([[0.0, 0.0], [1000.0, 0.0], [0.0, np.log(3.0)]])
  wanted = np.array([1, 0, 0])
  expected = (np.log(2) + 0 + np.log(4)) / 3
  assert calibrate.cross_entropy(logits, wanted) == pytest.approx(expected)


def test_report():
  count = {'channels': 1234, 'changed': 5, 'layers': 2, 'refused': 1}
  console = rich.console.Console(file=io.StringIO(), width=80)
  calibration_report.print_calibration({
    'accumulator': {'bits': 7, 'overflow_mode': 'saturate'},
    'split': 'dev', 'search_clips': 600, 'guard_clips': 853,
    'kinds': {'preload': count},
    'before': {'cross_entropy': 1.25, 'accuracy': 0.5},
    'after': {'cross_entropy': 1.0, 'accuracy': 0.75},
    'notes': ['a note'],
  }, console)
  lines = [line.split() for line in console.file.getvalue().splitlines()]
  assert ['a', 'note'] in lines
  assert ['preload', '1,234', '5', '2', '1'] in lines
  assert ['before', '1.2500', '50.00'] in lines
  assert ['after', '1.0000', '75.00'] in lines
