import json

import pytest

from bnn_jax import errors
from experiments import plan
from experiments import records


def runs(ablation, options='smoke', **kwargs):
  return plan.runs(
    ablation, results=ablation.parent, options=options, seeds=1, **kwargs
  )


def test_what_ended_well_is_known_to_the_next(ablation, tmp_path):
  first, second, third = runs(ablation)
  book = records.Book(tmp_path / 'r')
  book.write(first, {'splits': {}, 'wall_seconds': 1.5})
  book.write(second, {'error': 'no'})
  again = records.Book(tmp_path / 'r')
  for known in (book, again):
    assert [known.has(run) for run in (first, second, third)] \
      == [True, False, False]
    assert known.outcome(first.digest) == {'splits': {}, 'wall_seconds': 1.5}
    assert known.outcome(second.digest) is None
  lines = records.read(tmp_path / 'r')
  assert [line['setting'] for line in lines] == ['default', 'strong']
  assert lines[0]['command'] == list(first.command)
  assert not (tmp_path / 'r' / 'reads.jsonl').exists()


def test_reads_of_judging_splits_are_logged(ablation, tmp_path):
  book = records.Book(tmp_path)
  for run in runs(ablation, judge=True):
    book.write(run, {'splits': {}})
  lines = (tmp_path / 'reads.jsonl').read_text().splitlines()
  reads = [json.loads(line) for line in lines]
  assert [read['setting'] for read in reads] == ['default', 'strong', 'wide']
  assert reads[0]['splits'] == ['validation', 'testing']


def test_a_torn_line_is_cut(ablation, tmp_path):
  first, second, _ = runs(ablation)
  records.Book(tmp_path).write(first, {})
  path = tmp_path / 'results.jsonl'
  path.write_text(path.read_text() + '{"setting": "str')
  records.Book(tmp_path).write(second, {})
  assert [line['setting'] for line in records.read(tmp_path)] \
    == ['default', 'strong']
  path.write_text('{\n')
  with pytest.raises(errors.UserError, match='no JSON'):
    records.Book(tmp_path)


def test_speakers(ablation, speech, tmp_path):
  options = f'smoke,data=folder,data_dir={speech}'
  run, *_, other = runs(ablation, options)
  name = records.write_speakers(tmp_path, run)
  assert records.write_speakers(tmp_path, other) == name
  # Two speakers say each word once, and one clip of silence has its own.
  assert json.loads((tmp_path / name).read_text()) \
    == {'dev': [0, 1, 0, 1, 0, 1, 2, 3]}
  judged = runs(ablation, options, judge=True)[0]
  assert json.loads((tmp_path / records.write_speakers(tmp_path, judged))
                    .read_text()) \
    == {'validation': [0, 0, 0, 1], 'testing': [0, 0, 0, 1]}
