import ast
import pathlib
import shlex

from absl import flags
from ml_collections import config_flags
import pytest

from bnn_jax import command_line
from bnn_jax import errors
from experiments import plan

RESULTS = pathlib.Path('r')


def runs(path, options='smoke', seeds=1, **kwargs):
  return plan.runs(
    path, results=RESULTS, options=options, seeds=seeds, **kwargs
  )


def written(tmp_path, body):
  path = tmp_path / 'ablation_of.py'
  path.write_text(f'def sweep(add):\n  {body}\n')
  return path


def overrides(words):
  """What words like --config.KEY=VALUE say."""
  prefix = '--config.'
  pairs = (
    word.removeprefix(prefix).split('=', 1)
    for word in words if word.startswith(prefix)
  )
  return {key: _value(text) for key, text in pairs}


def _value(text):
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError):
    return text


def test_a_run_is_a_setting_with_a_seed(ablation):
  found = runs(ablation, seeds=2)
  assert [(run.setting, run.seed) for run in found] == [
    ('default', 0), ('strong', 0), ('wide', 0),
    ('default', 1), ('strong', 1), ('wide', 1),
  ]
  assert [run.config.seed for run in found] == [0, 0, 0, 1, 1, 1]
  assert found[1].config.penalty.weight == 9.0
  assert found[2].config.accumulator.bits == 12
  assert len({run.digest for run in found}) == 6
  assert len({run.workdir for run in found}) == 6
  assert {run.config.data.training_split for run in found} == {'fit'}
  assert {run.splits for run in found} == {('dev',)}


def test_judged_runs_train_on_all_of_training(ablation):
  run, chosen = runs(ablation, judge=True)[0], runs(ablation)[0]
  assert run.config.data.training_split == 'training'
  assert run.splits == ('validation', 'testing')
  assert '--splits=validation,testing' in run.command
  assert run.digest != chosen.digest
  assert run.workdir != chosen.workdir


@pytest.mark.parametrize('path', sorted(
  pathlib.Path(plan.__file__).parent.glob('ablation_*.py')
), ids=lambda path: path.stem)
def test_command_makes_the_configuration(path):
  for run in plan.runs(path, results=RESULTS, options='teacher=t', seeds=1):
    words = [str(word) for word in run.command]
    assert shlex.split(shlex.join(words)) == words
    assert words[:3] == ['python', '-m', 'bnn_jax.main']
    config = command_line.load('main', words[3])
    # As the next test holds against the parser of the command line.
    with config.unlocked():
      config.update_from_flattened_dict(overrides(words))
    assert config.to_dict() == run.config.to_dict()


def test_overrides_of_any_type_are_written_for_the_command_line(
  tmp_path, monkeypatch
):
  path = written(tmp_path, '''add('a', overrides={
    'accumulator.layer_bits': (('^stem$', 9),), 'penalty.margin': 1.0,
    'model.learn_preload': True, 'training.epochs': 3,
    'model.shape': '8-8x1', 'distillation.teacher': ''})''')
  (run,) = runs(path)
  words = [word for word in run.command if word.startswith('--config')]
  values = flags.FlagValues()
  config_flags.DEFINE_config_file('config', flag_values=values)
  # Where the flag looks for overrides.
  monkeypatch.setattr('sys.argv', ['main', *words])
  values(['main', *words])
  assert values.config.to_dict() == run.config.to_dict()


def test_a_setting_goes_before_what_all_share(tmp_path):
  path = written(tmp_path, "add('a', 'epochs=5')")
  (run,) = runs(path, 'smoke,epochs=2,data=folder')
  assert run.config.training.epochs == 5
  assert run.config.data.source == 'folder'


def test_names_do_not_count_and_all_else_does(tmp_path):
  path = written(tmp_path, '''add('a')
  add('b', overrides={'penalty.weight': 3.0})
  add('c', overrides={'penalty.weight': 3.5})''')
  a, b, c = (run.digest for run in runs(path))
  assert a == b != c


@pytest.mark.parametrize('body, message', [
  ("add('a', 'foo=1')", "'foo' does not exist"),
  ("add('a', overrides={'penalty.foo': 1})", 'setting a of of is not possible'),
  ("add('a', overrides={'penalty.kind': 1})", 'setting a of of is not'),
  ("add('a'); add('a')", 'choose another name'),
  ("add('a/b')", 'choose another name'),
])
def test_bad_settings(tmp_path, body, message):
  with pytest.raises(errors.UserError, match=message):
    runs(written(tmp_path, body))


def test_bad_files(tmp_path):
  with pytest.raises(errors.UserError, match='does not exist'):
    runs(tmp_path / 'none.py')
  path = tmp_path / 'empty.py'
  path.write_text('')
  with pytest.raises(errors.UserError, match=r'no sweep\(add\)'):
    runs(path)
  path.write_text("REQUIRES = ('teacher',)\ndef sweep(add):\n  add('a')\n")
  with pytest.raises(errors.UserError, match='--options=teacher=VALUE'):
    runs(path)
