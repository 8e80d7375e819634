import jax
import pytest

from bnn_jax import errors
from bnn_jax.training import evaluate
from bnn_jax.training import evaluator
from experiments import outcome
from experiments import records
from experiments import run_fleet
from experiments import sweep


def arguments(ablation, speech, *more):
  return [
    str(ablation), f'--results={ablation.parent / "r"}', '--data=folder',
    f'--data_dir={speech}', '--epochs=2', '--seeds=2', *more,
  ]


@pytest.fixture
def pretend(monkeypatch):
  """Runs that end at once; those of `broken` fail."""
  tried, broken = [], set()

  def started(runs, options):
    for run in runs:
      tried.append((run.setting, run.seed))
      yield run, {'error': 'ouch'} if run.setting in broken else {'splits': {}}

  monkeypatch.setattr(sweep, '_started', started)
  return tried, broken


def test_it_goes_on_where_it_ended(ablation, speech, pretend, capsys):
  tried, broken = pretend
  broken.add('strong')
  assert sweep.main(arguments(ablation, speech)) == 1
  assert len(tried) == 6
  assert capsys.readouterr().err == (
    'failed: strong seed 0: ouch\nfailed: strong seed 1: ouch\n'
  )
  tried.clear()
  broken.clear()
  assert sweep.main(arguments(ablation, speech)) == 0
  assert tried == [('strong', 0), ('strong', 1)]
  assert sweep.main(arguments(ablation, speech)) == 0
  assert len(tried) == 2
  assert '6 of 6 runs are done' in capsys.readouterr().out


def test_one_configuration_is_trained_once(ablation, speech, pretend):
  tried, _ = pretend
  ablation.write_text(
    "def sweep(add):\n  add('default')\n"
    "  add('same', overrides={'penalty.margin': 0.9})\n"
  )
  judged = arguments(ablation, speech, '--judge')
  sweep.main(judged)
  assert tried == [('default', 0), ('default', 1)]
  with ablation.open('a') as file:
    file.write("  add('later', overrides={'penalty.kind': 'hinge'})\n")
  sweep.main(judged)
  assert len(tried) == 2
  lines = records.read(ablation.parent / 'r')
  assert [line['setting'] for line in lines] \
    == ['default', 'same'] * 2 + ['later'] * 2
  assert lines[0]['digest'] == lines[1]['digest']
  # What was trained once was read once.
  reads = (ablation.parent / 'r' / 'reads.jsonl').read_text().splitlines()
  assert len(reads) == 2


def test_list_and_only(ablation, speech, pretend, capsys):
  words = arguments(ablation, speech, '--only=^(default|wide)$')
  assert sweep.main([*words, '--list']) == 0
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) == 4 and not pretend[0]
  assert all(line.startswith('python -m bnn_jax.main --') for line in lines)
  assert f'data_dir={speech},epochs=2,smoke,seed=0' in lines[0]
  sweep.main(words)
  assert {setting for setting, _ in pretend[0]} == {'default', 'wide'}


@pytest.mark.parametrize('word, message', [
  ('--only=foo', 'leaves no setting'), ('--only=(', 'no regular expression'),
  ('--seeds=0', 'seeds=0 is not positive'), ('--jobs=0', 'not positive'),
])
def test_bad_arguments(ablation, speech, word, message):
  with pytest.raises(errors.UserError, match=message):
    sweep.main(arguments(ablation, speech, word))


def test_fleet(ablation, speech, monkeypatch):
  """Two settings, one of which becomes infinite, with two seeds each."""
  ablation.write_text(ablation.read_text().replace(
    "'penalty.weight': 9.0", "'optimizer.learning_rate': 1e39"
  ))
  words = arguments(
    ablation, speech, '--runner=fleet', '--keep', '--only=default|strong',
    '--epochs=1',
  )
  grouped = []
  groups = run_fleet.groups

  def seen(runs, members):
    grouped.extend(groups(runs, members))
    return grouped

  monkeypatch.setattr(run_fleet, 'groups', seen)
  assert sweep.main(words) == 1
  assert [[run.setting for run in group] for group in grouped] \
    == [['default', 'strong', 'default', 'strong']]
  lines = records.read(ablation.parent / 'r')
  assert [(line['setting'], 'error' in line) for line in lines] == [
    ('default', False), ('strong', True), ('default', False), ('strong', True)
  ]
  run, line = grouped[0][0], lines[0]
  assert line['members'] == 4 and line['wall_seconds'] > 0
  assert line['accumulator']['bits'] == 7
  assert set(line['overflow']) == {'stem', 'block0/conv'}
  dev = line['splits']['dev']
  assert dev['clips'] == 8
  right = evaluator.unpack(dev['right_deployed'], 8)
  assert right.mean() == dev['accuracy_deployed']
  # The kept workdir is one that can be evaluated, with the same decisions.
  results = evaluate.run(run.config, run.workdir)
  assert outcome.outcome(run.config, results['splits'])['splits'] \
    == line['splits']
  assert evaluate.results_path(run.config, run.workdir).name == 'results.json'


def test_groups_share_a_program(ablation, speech):
  words = sweep._parser().parse_args(arguments(ablation, speech))
  runs = sweep.plan.runs(
    ablation, results=words.results, seeds=2,
    options=sweep.shared_options(words, words.epochs),
  )
  found = run_fleet.groups(runs, 3)
  assert [[(run.setting, run.seed) for run in group] for group in found] == [
    [('default', 0), ('strong', 0), ('default', 1)], [('strong', 1)],
    [('wide', 0), ('wide', 1)],
  ]


def test_a_group_that_cannot_start_fails_alone(ablation, speech):
  ablation.write_text(ablation.read_text().replace('8x1', '8x1g3'))
  words = arguments(ablation, speech, '--runner=fleet', '--seeds=1')
  assert sweep.main(words) == 1
  lines = records.read(ablation.parent / 'r')
  assert len(lines) == 3 and all('g' in line['error'] for line in lines)


def test_local_processes(ablation, speech, command, monkeypatch, capsys):
  """One run ends well and one cannot start."""
  ablation.write_text(ablation.read_text().replace('9.0', '-1.0'))
  for name, value in command.environment.items():
    monkeypatch.setenv(name, value)
  words = arguments(
    ablation, speech, '--runner=local', '--seeds=1', '--judge',
    '--only=default|strong',
  )
  assert sweep.main(words) == 1
  assert 'penalty.weight=-1.0' in capsys.readouterr().err
  good, bad = sorted(
    records.read(ablation.parent / 'r'), key=lambda line: 'error' in line
  )
  assert 'exit status 1' in bad['error']
  assert [*good['splits']] == ['validation', 'testing']
  assert good['splits']['testing']['clips'] == 4
  assert good['members'] == 1 and good['clips_per_second'] > 0
  assert good['device'] == 'cpu cpu'
  assert good['jax'] == jax.__version__
  assert good['environment'].items() <= command.environment.items()
  assert 'revision' in good
