import json

import pytest

from bnn_jax import errors
from bnn_jax.report import workdir as workdir_lib


def line(step, kind='train', **values):
  entry = {'step': step, 'epoch': step / 10, 'kind': kind} | values
  return json.dumps(entry) + '\n'


def train_of(workdir, content):
  (workdir / 'metrics.jsonl').write_text(content)
  return workdir_lib.read(workdir).train


def test_last_line_of_a_repeated_step_counts(workdir):
  content = (line(10, loss=1.0) + line(20, loss=2.0)
             + line(20, 'validation', loss=9.0) + line(20, loss=3.0))
  train = train_of(workdir, content)
  assert [(entry['step'], entry['loss']) for entry in train] == [
    (10, 1.0), (20, 3.0)]
  assert workdir_lib.read(workdir).validation[0]['loss'] == 9.0


def test_steps_ascend(workdir):
  train = train_of(workdir, line(30) + line(10) + line(20))
  assert [entry['step'] for entry in train] == [10, 20, 30]


def test_torn_last_line_is_ignored(workdir):
  whole = line(10) + line(20)
  for end in range(len(line(10)), len(whole) - 2):
    assert len(train_of(workdir, whole[:end])) == 1


def test_whole_last_line_without_newline_counts(workdir):
  assert len(train_of(workdir, (line(10) + line(20)).rstrip())) == 2


def test_line_torn_within_a_character_is_ignored(workdir):
  content = (line(10) + '{"step": 2, "é').encode()[:-1]
  (workdir / 'metrics.jsonl').write_bytes(content)
  assert len(workdir_lib.read(workdir).train) == 1


@pytest.mark.parametrize('bad', ['{"step": 1', '[]', '{"step": 1}', ''])
def test_bad_line_in_the_middle_is_named(workdir, bad):
  with pytest.raises(errors.UserError, match='Line 2 of .*metrics.jsonl'):
    train_of(workdir, line(10) + bad + '\n' + line(20))


@pytest.mark.parametrize('content', ['', '{"step"'])
def test_metrics_without_a_whole_line(workdir, content):
  assert train_of(workdir, content) == []


def test_absent_parts(workdir):
  (workdir / 'metrics.jsonl').unlink()
  (workdir / 'provenance.json').unlink()
  run = workdir_lib.read(workdir)
  assert run[1:] == ({}, [], [], None)


def test_config_is_needed(tmp_path):
  with pytest.raises(errors.UserError, match='config.json.*--workdir'):
    workdir_lib.read(tmp_path)


@pytest.mark.parametrize(
  'name', ['config.json', 'provenance.json', 'results.json'])
@pytest.mark.parametrize('content', [b'{"a": ', b'[1]', b'\xff', b''])
def test_unreadable_json_is_named(workdir, name, content):
  (workdir / name).write_bytes(content)
  with pytest.raises(errors.UserError, match=f'{name} .*run again'):
    workdir_lib.read(workdir)


def test_results_lacking_a_part_name_it(workdir, results):
  del results['profile']
  (workdir / 'results.json').write_text(json.dumps(results))
  with pytest.raises(errors.UserError, match='results.json lacks profile;'):
    workdir_lib.read(workdir)


def test_results_of_an_older_profile_are_named(workdir, results):
  del results['profile']['macs']
  (workdir / 'results.json').write_text(json.dumps(results))
  with pytest.raises(errors.UserError, match='lacks profile.macs; evaluate'):
    workdir_lib.read(workdir)
