"""The command line: what it refuses, survives and goes on from."""

import dataclasses
import json
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import types

import jax
import numpy as np
from orbax import checkpoint as ocp
import pytest

from bnn_jax import main
from bnn_jax.data import wav
from bnn_jax.export import files
from tests import conftest

# 30 steps with checkpoints at 6, 12, ... of which the last three are kept.
SHORT = (
  '--config.training.epochs=10',
  '--config.training.checkpoint_epochs=2',
  '--config.training.validation_epochs=5',
  '--config.training.log_steps=1',
  '--config.accumulator.bits=4',
  '--config.accumulator.simd=16',
)
STEPS = 30


@pytest.fixture(scope='session')
def finished(shared, command) -> pathlib.Path:
  """The workdir of a training that nothing interrupted; not to be changed."""
  folder = shared / 'finished'
  with conftest.locked(shared):
    if not folder.exists():
      done = command(folder, *SHORT)
      assert done.returncode == 0, done.stderr
  return folder


@pytest.fixture
def workdir(finished, tmp_path) -> pathlib.Path:
  """A copy of it."""
  return pathlib.Path(shutil.copytree(finished, tmp_path / 'run'))


def refused(done: subprocess.CompletedProcess[str], *words: str) -> str:
  """Asserts one sentence on stderr that holds `words`."""
  assert done.returncode == 1, done
  assert 'Traceback' not in done.stdout + done.stderr
  lines = done.stderr.splitlines()
  assert len(lines) == 1 and lines[0].startswith('error: '), done.stderr
  for word in words:
    assert word in lines[0]
  return lines[0]


def steps_of(folder: pathlib.Path) -> list[int]:
  return sorted(
    int(path.name) for path in (folder / 'checkpoints').iterdir()
    if path.name.isdigit()
  )


def leaves_of(folder: pathlib.Path, step: int) -> dict[str, np.ndarray]:
  """Every array of a checkpoint by its path."""
  with ocp.CheckpointManager((folder / 'checkpoints').resolve()) as manager:
    state = manager.restore(
      step, args=ocp.args.Composite(state=ocp.args.StandardRestore())
    )['state']
  return {
    jax.tree_util.keystr(path): np.asarray(value)
    for path, value in jax.tree_util.tree_leaves_with_path(state)
  }


def assert_same_end(folder: pathlib.Path, finished: pathlib.Path) -> None:
  """Equal to the bit: checkpoint of the last step, and results."""
  expected, found = leaves_of(finished, STEPS), leaves_of(folder, STEPS)
  assert found.keys() == expected.keys()
  for group in ('params', 'batch_stats', 'opt_state', 'deployed', 'inputs'):
    assert any(group in name for name in expected)
  for name, value in expected.items():
    assert value.tobytes() == found[name].tobytes(), name
  results = [
    json.loads((place / 'results.json').read_text())
    for place in (folder, finished)
  ]
  for result in results:
    result['notes'] = []
  assert results[0] == results[1]


@pytest.mark.parametrize('flags, words', [
  (['--foo=3'], ["'foo'"]),
  (['--config.foo=3'], ['--config.foo does not exist', 'accumulator']),
  (['--config.model.sizes=S'], ['--config.model.sizes', 'variant']),
  (['--mode=foo'],
   ['--mode=foo', 'train|summary|evaluate|report|calibrate|export|verify|']),
  (['extra'], ["argument 'extra'"]),
  (['--config=configs/nothing.py'], ["'configs/nothing.py' does not exist"]),
  (['--config=README.md'], ["'README.md' cannot be loaded (SyntaxError"]),
  (['--config=configs/parse.py'], ["has no attribute 'get_config'"]),
  (['--config=configs/kws.py:foo'], ["'foo' does not exist", 'smoke']),
  (['--config=configs/kws.py:accumulator_bits=0'],
   ['accumulator_bits=0 is not possible', '2 to 24']),
  (['--config=configs/kws.py:accumulator_bits=1'], ['accumulator_bits=1 ']),
  (['--config=configs/kws.py:accumulator_bits=40'], ['accumulator_bits=40 ']),
  (['--config=configs/kws.py:overflow_mode=foo'],
   ['overflow_mode=foo', 'exact, wrap, saturate']),
  (['--config=configs/kws.py:simd=0'], ['simd=0 ', 'a whole number']),
  (['--config=configs/kws.py:simd=x'], ['simd=x ']),
  (['--config.training.batch_size=1.5'], ['batch_size=1.5']),
])
def test_bad_flag_is_refused(command, tmp_path, flags, words):
  folder = tmp_path / 'run'
  refused(command(folder, *flags), *words)
  assert not folder.exists()


def test_config_is_needed(command):
  refused(command.run([*command.line('x')[:3]]), '--config is missing')


def test_config_of_a_workdir_that_has_none(command, tmp_path):
  line = [*command.line('x')[:3], f'--workdir={tmp_path}', '--mode=export']
  refused(command.run(line), f'{tmp_path}/config.json cannot be read')


def test_config_behind_a_space(command):
  line = [*command.line('x')[:3], '--config', 'configs/kws.py:smoke']
  refused(command.run([*line, '--config.foo=3']), '--config.foo does not exist')


def test_config_imports_its_neighbours_from_anywhere(tmp_path):
  # Here the package can be imported and the folder of the configs cannot.
  (tmp_path / 'bnn_jax').symlink_to(conftest.ROOT / 'bnn_jax')
  done = subprocess.run(
    [sys.executable, '-m', 'bnn_jax.main',
     f'--config={conftest.ROOT}/configs/kws.py:foo'],
    cwd=tmp_path, env={'PATH': ''}, capture_output=True, text=True,
  )
  refused(done, "'foo' does not exist", 'smoke')


def test_processes_that_train_together_need_a_workdir(command, monkeypatch):
  monkeypatch.setitem(
    command.environment, 'JAX_COORDINATOR_ADDRESS', 'localhost:1'
  )
  line = [a for a in command.line('x') if not a.startswith('--workdir')]
  refused(command.run(line), '--workdir is missing', 'all processes')


def test_trainings_that_start_together_have_two_workdirs(monkeypatch):
  config = types.SimpleNamespace(name='kws')
  for name, value in (
    ('_CONFIG', config), ('_MODE', 'train'), ('_WORKDIR', ''),
  ):
    monkeypatch.setattr(main, name, types.SimpleNamespace(value=value))
  monkeypatch.delenv('JAX_COORDINATOR_ADDRESS', raising=False)
  first, second = main._folder(), main._folder()
  assert re.fullmatch(r'runs/kws-\d{8}-\d{6}-\d{6}', str(first))
  assert first != second


@pytest.mark.parametrize('flags, words', [
  (['--config.accumulator.bits=0'], ['bits=0', '2 to 24']),
  (['--config.accumulator.bits=1'], ['bits=1 ']),
  (['--config.accumulator.bits=40'], ['bits=40 ']),
  (['--config.accumulator.overflow_mode=foo'], ["overflow_mode='foo'"]),
  (['--config.accumulator.simd=-3'], ['simd=-3', 'positive']),
  (["--config.accumulator.layer_bits=(('(',9),)"], ['layer_bits', "('(', 9)"]),
  (['--config.model.variant=foo'], ["model.variant='foo'", 'overflow']),
  (['--config.model.norm_variant=foo'], ["'foo'", 'two_ap2']),
  (['--config.model.thermometer_levels=0'], ['thermometer_levels=0']),
  (['--config.model.stream_bits=16', '--config.model.size=L'],
   ['stream_bits=16 is too wide']),
  (['--config.penalty.kind=foo'], ["penalty.kind='foo'", 'periodic']),
  (['--config.optimizer.learning_rate=inf'], ['learning_rate=inf']),
  (['--config.optimizer.gradient_norm=0.0'], ['gradient_norm=0.0']),
  (['--config.penalty.weight=-1.0'], ['penalty.weight=-1.0']),
  (['--config.penalty.rise_share=1.5'], ['penalty.rise_share=1.5']),
  (['--config.optimizer.warmup_share=1.0'], ['optimizer.warmup_share=1.0']),
  (['--config.distillation.teacher=/nowhere'], ['/nowhere']),
  (['--config.model.input_bits=9'], ['model.input_bits=9']),
  (['--config.model.thermometer_levels=256'],
   ['model.thermometer_levels=256']),
  (['--config.training.epochs=0'], ['training.epochs=0']),
  (['--config.training.batch_size=31'], ['batch_size=31', '30 training']),
  (['--config.data.source=foo'], ["'foo'", 'folder']),
  (['--config.data.data_dir='], ['data.data_dir is empty']),
  (['--config.data.data_dir=/nowhere'], ['/nowhere']),
])
def test_bad_value_is_refused_before_a_workdir_is_made(
  command, tmp_path, flags, words
):
  folder = tmp_path / 'run'
  refused(command(folder, *flags), *words)
  assert not folder.exists()


def test_empty_data_folder(command, tmp_path):
  (tmp_path / 'data').mkdir()
  done = command(tmp_path / 'run', data=tmp_path / 'data')
  refused(done, str(tmp_path / 'data'), 'holds no folder of a word')


def test_unknown_word(command, tiny_data, tmp_path):
  data = shutil.copytree(tiny_data, tmp_path / 'data')
  (data / 'elephant').mkdir()
  refused(command(tmp_path / 'run', data=data), f'{data}/elephant')


def spoil(data: pathlib.Path) -> None:
  """Makes four training clips unusable, each in its own way."""
  paths = sorted((data / 'yes').iterdir())[:4]
  content = paths[0].read_bytes()
  paths[0].write_bytes(content[:-7000])
  paths[1].write_bytes(
    content[:22] + struct.pack('<H', 2) + content[24:]
  )
  paths[2].write_bytes(
    content[:24] + struct.pack('<I', 8000) + content[28:]
  )
  paths[3].write_text('no audio')


def test_broken_files_are_told_and_left_out(command, tiny_data, tmp_path):
  data = shutil.copytree(tiny_data, tmp_path / 'data')
  spoil(data)
  # Too many of them stop the training, with the first one named.
  refused(
    command(tmp_path / 'run', data=data),
    '4 of the 24 clips of the training split', '16.67%',
    'yes/00000000_nohash_0.wav: truncated', 'data.max_bad_share',
  )
  # The batch is too large, so that the run ends where it would train.
  done = command(
    tmp_path / 'run', '--config.data.max_bad_share=0.2',
    '--config.training.batch_size=99', data=data,
  )
  refused(done, 'batch_size=99 exceeds')
  note = next(line for line in done.stdout.splitlines() if 'left out' in line)
  assert note.startswith('4 of the 24 clips of the training split')
  assert 'truncated (9000 of 16000 bytes of audio)' in note
  assert '00000001_nohash_0.wav: stereo (2 channels' in note
  assert '00000002_nohash_0.wav: 8000 Hz' in note
  assert note.endswith('; and others.')


def test_end_of_a_training(finished):
  assert steps_of(finished) == [18, 24, 30]
  results = json.loads((finished / 'results.json').read_text())
  assert results['step'] == STEPS
  assert results['splits']['testing']['clips'] == 5
  assert np.sum(results['splits']['testing']['confusion']) == 5
  # Registers of four bits do overflow here, or the runs below would show less.
  overflow = results['splits']['testing']['overflow']
  assert sum(layer['persistent'] for layer in overflow) > 0
  lines = (finished / 'metrics.jsonl').read_text().splitlines()
  entries = [json.loads(line) for line in lines]
  train = [e['step'] for e in entries if e['kind'] == 'train']
  assert train == list(range(1, STEPS + 1))
  validation = [e['step'] for e in entries if e['kind'] == 'validation']
  assert validation == [15, 30]
  assert (finished / 'report.html').exists()


def test_finished_training_is_evaluated_again(command, workdir, finished):
  done = command(workdir, *SHORT)
  assert done.returncode == 0, done.stderr
  assert f'going on from step {STEPS}' in done.stdout
  assert_same_end(workdir, finished)


def test_workdir_of_another_configuration(command, workdir):
  done = command(workdir, *SHORT, '--config.training.epochs=11')
  refused(done, str(workdir), 'training.epochs (10 there, 11 now)')
  assert steps_of(workdir) == [18, 24, 30]


def test_evaluation_needs_a_checkpoint(command, workdir):
  shutil.rmtree(workdir / 'checkpoints')
  done = command(workdir, *SHORT, '--mode=evaluate')
  refused(done, f'no checkpoint in {workdir}/checkpoints', '--mode=train')


def test_evaluation_of_a_step_that_is_not_there(command, workdir):
  done = command(workdir, *SHORT, '--mode=evaluate', '--checkpoint=7')
  refused(done, 'no checkpoint of step 7', '[18, 24, 30]')


def test_unknown_split(command, workdir):
  before = (workdir / 'results.json').read_bytes()
  done = command(workdir, *SHORT, '--mode=evaluate', '--splits=foo')
  refused(done, "no split 'foo'", 'training, validation, testing')
  assert (workdir / 'results.json').read_bytes() == before


def test_evaluation_needs_a_workdir(command):
  line = [a for a in command.line('x') if not a.startswith('--workdir')]
  refused(command.run([*line, '--mode=evaluate']), '--workdir')


def test_evaluation_with_another_accumulator(command, workdir):
  kept = [workdir / name for name in ('results.json', 'report.html')]
  before = [path.read_bytes() for path in kept]
  done = command(
    workdir, *SHORT, '--mode=evaluate', '--config.accumulator.bits=6',
    '--config.accumulator.overflow_mode=saturate', '--config.model.parts=4',
  )
  assert done.returncode == 0, done.stderr
  path = workdir / 'results-6-saturate-16-dot.json'
  other = json.loads(path.read_text())
  assert other['accumulator']['overflow_mode'] == 'saturate'
  assert [path.read_bytes() for path in kept] == before
  # The report is of results.json, so that it would show the old numbers.
  assert done.stdout.splitlines()[-1] == f'results: {path}'
  assert 'report:' not in done.stdout


def test_exported_network_is_verified(command, workdir):
  # Without --config the workdir's own is taken.
  plain = [*command.line('x')[:3], f'--workdir={workdir}']
  done = command.run([*plain, '--mode=export'])
  assert done.returncode == 0, done.stderr
  assert f'export: {workdir}/export, ' in done.stdout
  done = command.run([*plain, '--mode=verify', '--deep'])
  assert done.returncode == 0, done.stdout + done.stderr
  lines = done.stdout.splitlines()
  assert lines[:7] == [
    f'{workdir}/export: step {STEPS}, 5 clips',
    # 5 clips of 12 classes.
    'training graph vs JAX integer: mismatches: 0 of 60',
    'training graph vs golden: mismatches: 0 of 60',
    'training graph vs C: mismatches: 0 of 60',
    'JAX integer vs golden: mismatches: 0 of 60',
    'JAX integer vs C: mismatches: 0 of 60',
    'golden vs C: mismatches: 0 of 60',
  ]
  assert all(': mismatches: 0 of ' in line for line in lines[7:13])
  assert re.fullmatch(
    r'export vs checkpoint, settings: mismatches: 0 of \d+', lines[13]
  )
  # 5 clips of 25 frames of 8 bins.
  assert lines[14] == (
    'C front end vs NumPy front end: mismatches: 0 of 1000'
  )
  assert len({line.rpartition(' ')[2] for line in lines[15:]}) == 1
  assert len(lines) == 19
  provenance = files.read(workdir / 'export').provenance
  assert provenance['step'] == STEPS
  assert provenance['data_source'] == 'folder'
  assert 'CC-BY 4.0' in provenance['data_attribution']
  recording = workdir / 'recording.wav'
  wav.write(recording, np.zeros(48000, np.int16))
  done = command.run([*plain, '--mode=listen', f'--input={recording}'])
  assert done.returncode == 0, done.stderr
  assert re.fullmatch(
    r'\d words in 3.00 s; [\d.]+ ms for 100 ms of sound',
    done.stdout.splitlines()[-1],
  )


def test_a_mismatch_is_an_error(command, workdir):
  done = command(workdir, *SHORT, '--mode=export', '--checkpoint=24')
  assert done.returncode == 0, done.stderr
  path = workdir / 'export'
  model = files.read(path)
  stem = next(one for one in model.layers if one.name == 'stem')
  weights = 1 - stem.weights
  altered = [
    dataclasses.replace(one, weights=weights) if one is stem else one
    for one in model.layers
  ]
  form = dataclasses.replace(model.input, lo=model.input.lo - 0.5)
  files.write(
    path, dataclasses.replace(model, layers=tuple(altered), input=form)
  )
  done = command(workdir, *SHORT, '--mode=verify', '--limit=2')
  assert done.returncode == 1
  lines = done.stdout.splitlines()
  assert lines[0] == f'{path}: step 24, 2 clips'
  # The changed network was written without its C code.
  assert lines[1] == f'C: printed anew, {path}/c/ is not there'
  assert ': mismatches: 0 of' not in lines[2]
  assert lines[3].startswith('  first: clip testing[0], layer stem, index [')
  assert 'JAX integer vs golden: mismatches: 0 of 24' in lines
  assert 'golden vs C: mismatches: 0 of 24' in lines
  place = lines.index(f'  lo: {form.lo!r} and {model.input.lo!r}')
  assert lines[place - 1].startswith('export vs checkpoint, settings: ')
  assert ': mismatches: 1 of ' in lines[place - 1]


def test_without_a_compiler_nothing_is_verified(command, workdir, monkeypatch):
  done = command(workdir, *SHORT, '--mode=export')
  assert done.returncode == 0, done.stderr
  monkeypatch.setitem(command.environment, 'PATH', str(workdir))
  monkeypatch.setitem(command.environment, 'CC', '')
  line = (workdir, *SHORT, '--mode=verify', '--limit=2')
  told = []
  for status, flags in ((1, ()), (0, ('--allow_missing',))):
    done = command(*line, *flags)
    assert done.returncode == status, done.stdout + done.stderr
    told.append(done.stdout.splitlines())
  assert told[0] == told[1]
  assert told[0][-1] == (
    'C was not compared: no C compiler is found; install gcc or clang, or name '
    'one in the variable CC.'
  )
  assert not any(' vs C: ' in row for row in told[0])


def test_verification_needs_an_export(command, workdir):
  done = command(workdir, *SHORT, '--mode=verify')
  refused(done, f'there is no {workdir}/export', '--mode=export')


def test_listening_needs_an_export(command, workdir):
  done = command(workdir, *SHORT, '--mode=listen')
  refused(done, f'there is no {workdir}/export', '--mode=export')


def test_export_of_another_network(command, workdir):
  done = command(workdir, *SHORT, '--mode=export', '--config.model.size=L')
  refused(done, str(workdir), "model.size ('S' there, 'L' now)")
  assert not (workdir / 'export').exists()


def truncate(path: pathlib.Path) -> None:
  path.write_bytes(path.read_bytes()[:-1 - path.stat().st_size // 2])


def overwrite(path: pathlib.Path) -> None:
  path.write_bytes(bytes(path.stat().st_size))


def damage(workdir: pathlib.Path, step: int, how) -> None:
  for path in (workdir / 'checkpoints' / str(step)).rglob('*'):
    if path.is_file() and path.stat().st_size:
      how(path)


@pytest.mark.parametrize('how', [truncate, overwrite])
def test_damaged_newest_checkpoint(command, workdir, finished, how):
  damage(workdir, 30, how)
  done = command(workdir, *SHORT)
  assert done.returncode == 0, done.stderr
  assert 'The checkpoint of step 30' in done.stdout
  assert 'falling back to the one before it' in done.stdout
  assert 'going on from step 24' in done.stdout
  assert_same_end(workdir, finished)


def test_evaluation_falls_back_and_says_so(command, workdir):
  damage(workdir, 30, truncate)
  done = command(workdir, *SHORT, '--mode=evaluate')
  assert done.returncode == 0, done.stderr
  assert 'falling back to the one before it' in done.stdout
  results = json.loads((workdir / 'results.json').read_text())
  assert results['step'] == 24
  assert 'The checkpoint of step 30' in results['notes'][0]
  assert steps_of(workdir) == [18, 24, 30]


def test_all_checkpoints_damaged(command, workdir):
  for step in (18, 24, 30):
    damage(workdir, step, truncate)
  for mode in ('train', 'evaluate'):
    done = command(workdir, *SHORT, f'--mode={mode}')
    refused(done, 'tried steps [30, 24, 18]', 'another --workdir')
  assert steps_of(workdir) == [18, 24, 30]


def test_loss_that_is_not_finite(command, tmp_path):
  done = command(
    tmp_path / 'run', '--config.penalty.weight=3e38',
    '--config.penalty.margin=0.0', '--config.penalty.rise_share=0.0',
    '--config.accumulator.bits=2',
  )
  refused(done, 'the loss of step 1 is inf', 'penalty.weight')


def after_step(folder: pathlib.Path, step: int) -> bool:
  path = folder / 'metrics.jsonl'
  return path.exists() and f'"step": {step},' in path.read_text()


def interrupt(command, folder: pathlib.Path, number: int) -> tuple[int, str]:
  """Sends a signal after step 8; exit status and output."""
  process = command.start(folder, *SHORT)
  end = time.monotonic() + 200
  while process.poll() is None and not after_step(folder, 8):
    assert time.monotonic() < end
    time.sleep(0.005)
  process.send_signal(number)
  output, _ = process.communicate(timeout=100)
  return process.returncode, output


def test_interrupt_before_the_first_step(command, tmp_path):
  process = command.start(tmp_path / 'run', *SHORT)
  line = ''
  while not line.startswith('reading '):
    line = process.stdout.readline()
    assert line
  process.send_signal(signal.SIGINT)
  output, _ = process.communicate(timeout=100)
  assert process.returncode == 128 + signal.SIGINT
  assert output.splitlines()[-1].startswith('stopped by SIGINT')
  assert 'Traceback' not in output


def test_sigterm_saves_and_goes_on_to_the_bit(command, finished, tmp_path):
  folder = tmp_path / 'run'
  status, output = interrupt(command, folder, signal.SIGTERM)
  assert status == 128 + signal.SIGTERM, output
  assert 'Traceback' not in output
  told = re.search(r'stopped by SIGTERM; the state of step (\d+) is', output)
  assert told is not None
  step = int(told[1])
  assert 8 <= step < STEPS
  assert steps_of(folder)[-1] == step
  done = command(folder, *SHORT)
  assert done.returncode == 0, done.stderr
  assert f'going on from step {step}' in done.stdout
  assert_same_end(folder, finished)


def test_sigkill_goes_on_to_the_bit(command, finished, tmp_path):
  folder = tmp_path / 'run'
  status, _ = interrupt(command, folder, signal.SIGKILL)
  assert status == -signal.SIGKILL
  step = steps_of(folder)[-1]
  assert step in range(6, STEPS, 6)
  with (folder / 'metrics.jsonl').open('a') as file:
    file.write('{"step": 9, "ep')
  done = command(folder, *SHORT)
  assert done.returncode == 0, done.stderr
  assert f'going on from step {step}' in done.stdout
  assert_same_end(folder, finished)
  for line in (folder / 'metrics.jsonl').read_text().splitlines():
    json.loads(line)


def test_full_disk(command, finished, tmp_path):
  can_mount = subprocess.run(
    ['unshare', '-m', 'mount', '-t', 'tmpfs', 'none', str(tmp_path)],
    capture_output=True,
  ).returncode == 0 if shutil.which('unshare') else False
  if not can_mount:
    pytest.skip('needs the right to mount a small disk')
  disk, kept = tmp_path / 'disk', tmp_path / 'run'
  disk.mkdir()
  # What is on the disk goes with it, so it is copied before the end.
  script = (
    'mount -t tmpfs -o size=2900k none "$1" && disk="$1" kept="$2" && shift 2'
    ' && { "$@"; status=$?; cp -r "$disk/run" "$kept"; exit $status; }'
  )
  before = ('unshare', '-m', 'bash', '-c', script, 'bash', disk, kept)
  done = command(disk / 'run', *SHORT, before=map(str, before))
  refused(done, 'the checkpoint of step 12 needs',
          'the checkpoint of step 6 is whole')
  assert steps_of(kept) == [6]
  done = command(kept, *SHORT)
  assert done.returncode == 0, done.stderr
  assert 'going on from step 6' in done.stdout
  assert_same_end(kept, finished)


def test_summary_needs_no_workdir(command, tmp_path):
  line = command.line('x', '--mode=summary', '--json')
  line = [word for word in line if not word.startswith('--workdir')]
  done = command.run(line)
  assert done.returncode == 0, done.stderr
  found = json.loads(done.stdout.splitlines()[-1])
  assert found['params'] == sum(row['parameters'] for row in found['layers'])
  assert found['macs'] == sum(found['macs_by_width'].values()) > 0
  assert not list(tmp_path.iterdir())
