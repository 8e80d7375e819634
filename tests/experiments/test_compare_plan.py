from absl import flags
from ml_collections import config_flags
import pytest

from bnn_jax.training import setup
from configs import kws
from experiments import compare_methods
from experiments import compare_plan
from experiments import plan
from experiments import records
from tests import published

OPTIONS = 'data=folder,data_dir=/d,epochs=3'


def planned(folder, rates=(1.0,), seeds=2):
  return compare_plan.Plan(folder, OPTIONS, 3, rates, seeds)


def unit(name):
  return next(u for u in compare_plan.units('all') if u.name == name)


def dev(accuracy):
  return {'splits': {'dev': {'accuracy_deployed': accuracy}}}


def test_everything_is_compared():
  methods = {method.name for method in compare_methods.METHODS}
  assert methods == {*published.TINY, 'ours'}
  small = [u.key for u in compare_plan.units('small')]
  for name in published.TINY:
    assert [key[2] for key in small if key[0] == name][:2] \
      == ['float', 'binary']
  assert [v for name, size, v in small if (name, size) == ('ours', 'M')] \
    == ['float', 'binary', 'wrap8', 'wrap7']
  assert compare_methods.REFERENCE in small
  large = [u.key for u in compare_plan.units('large')]
  assert not {*small} & {*large}
  everything = [u.key for u in compare_plan.units('all')]
  assert {*everything} == {*small, *large}
  assert len({*everything}) == len(everything)


def test_every_published_number_is_of_a_network():
  names = {u.name.removesuffix('-float') for u in compare_plan.units('all')}
  for method in compare_methods.METHODS:
    for network, numbers in method.published.items():
      assert f'{method.name}-{network}' in names
      for one in numbers:
        assert one.data in ('V1', 'V2')
        assert one.verified == ('unverified' not in one.source)
        assert one.own_lists == (one.protocol == 'tc_resnet')


@pytest.mark.parametrize('name', [
  u.name for u in compare_plan.units('all')
])
def test_every_candidate_is_a_configuration(name, tmp_path):
  runs = planned(tmp_path).choosing(unit(name))
  named = [run.setting.removeprefix(f'{name}-') for run in runs]
  paper = name.endswith(('float', 'paper')) and not name.startswith('ours')
  assert named == (['own-x1', 'ours-x1'] if paper else ['ours-x1'])
  ours = kws.get_config(OPTIONS)
  for run in runs:
    assert run.config.training.epochs == 3 and run.splits == ('dev',)
    assert run.command[3].startswith(f'--config={unit(name).method.file}:')
  # The last has all of our recipe.
  for branch in ('optimizer', 'augmentation', 'training'):
    assert runs[-1].config[branch].to_dict() == ours[branch].to_dict()
  assert setup.describe_accumulator(runs[0].config)['overflow_mode'] \
    == ('wrap' if 'wrap' in name else 'exact')


@pytest.mark.parametrize('name', [
  'mhatt_rnn-new-float', 'matchboxnet-3x1x64-float', 'bifsmn-v2-paper',
])
def test_the_command_makes_our_recipe(name, tmp_path, monkeypatch):
  run = planned(tmp_path, (0.5,)).choosing(unit(name))[-1]
  words = [word for word in run.command if word.startswith('--config')]
  values = flags.FlagValues()
  config_flags.DEFINE_config_file('config', flag_values=values)
  # Where the flag looks for overrides.
  monkeypatch.setattr('sys.argv', ['main', *words])
  values(['main', *words])
  assert values.config.to_dict() == run.config.to_dict()


def test_registers_of_ours(tmp_path):
  for variant, bits in (('binary', 16), ('wrap8', 8), ('wrap7', 7)):
    made = planned(tmp_path).config(unit(f'ours-M-{variant}'))
    assert made.accumulator.bits == bits


def test_both_recipes_are_tried_at_the_same_rates(tmp_path):
  runs = planned(tmp_path, (1.0, 0.5)).choosing(unit('tc_resnet-8-float'))
  assert [run.setting.split('-', 3)[3] for run in runs] \
    == ['own-x1', 'ours-x1', 'own-x0.5', 'ours-x0.5']
  optimizers = [run.config.optimizer for run in runs]
  assert [o.learning_rate for o in optimizers] == [0.1, 0.008, 0.05, 0.004]
  assert [o.kind for o in optimizers] == ['sgd', 'adamw'] * 2
  ours = planned(tmp_path, (1.0, 0.5)).choosing(unit('ours-M-wrap7'))
  assert [run.config.optimizer.latent_learning_rate for run in ours] \
    == [0.008, 0.004]


def test_dev_chooses(tmp_path):
  made, one = planned(tmp_path, (1.0, 0.5)), unit('dnn-S-float')
  book = records.Book(tmp_path)
  assert made.judging(one, book) is None and not made.is_known(one, book)
  for run, accuracy in zip(made.choosing(one), (0.7, 0.9, 0.9), strict=False):
    book.write(run, dev(accuracy))
  chosen = made.judging(one, records.Book(tmp_path))
  assert [(run.setting, run.seed) for run in chosen] \
    == [('dnn-S-float-ours-x1', 0), ('dnn-S-float-ours-x1', 1)]
  assert made.is_known(one, book)
  for run in chosen:
    assert run.splits == plan.JUDGED_BY
    assert run.config.data.training_split == 'training'
    assert run.ablation == 'compare3'
  book.write(made.choosing(one)[3], dev(0.95))
  assert made.judging(one, book)[0].setting == 'dnn-S-float-ours-x0.5'


def test_the_rates_that_a_row_was_chosen_from(tmp_path):
  made, one = planned(tmp_path), unit('dnn-S-float')
  three = planned(tmp_path, (1.0, 0.5, 2.0))
  book = records.Book(tmp_path)

  def rates():
    found = {made.as_judged(one, book).rates, three.as_judged(one, book).rates}
    return found.pop() if len(found) == 1 else None

  assert made.as_judged(one, book) == made
  assert three.as_judged(one, book) == three
  candidates = three.choosing(one)
  for run in candidates[:2]:
    book.write(run, dev(0.7))
  book.write(made.judging(one, book)[0], dev(0.0))
  assert rates() == (1.0,)
  book.write(candidates[3], dev(0.8))
  # What is better by 'dev' has not been judged yet.
  assert rates() == (1.0,)
  first, second = three.judging(one, book)
  book.write(second, dev(0.0))
  assert rates() == (1.0, 0.5)
  # More rates do not take seeds from a row.
  book.write(made.judging(one, book)[1], dev(0.0))
  assert rates() == (1.0,)
  book.write(first, dev(0.0))
  assert rates() == (1.0, 0.5)


def test_of_one_candidate_there_is_no_choice(tmp_path):
  made, book = planned(tmp_path), records.Book(tmp_path)
  chosen = made.judging(unit('dnn-S-binary'), book)
  assert [run.setting for run in chosen] == ['dnn-S-binary-ours-x1'] * 2
  assert not made.is_known(unit('dnn-S-binary'), book)


def test_another_budget_is_another_workdir(tmp_path):
  made = planned(tmp_path)
  longer = compare_plan.Plan(tmp_path, OPTIONS + '0', 30, (1.0,), 2)
  one = unit('dnn-S-binary')
  assert made.choosing(one)[0].workdir != longer.choosing(one)[0].workdir
