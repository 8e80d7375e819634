import json

from bnn_jax.training import logs


def lines_of(folder):
  lines = (folder / 'metrics.jsonl').read_text().splitlines()
  return [json.loads(line) for line in lines]


def test_lines_are_nested(tmp_path):
  with logs.Writer(tmp_path) as writer:
    writer.write(3, 0.5, 'train', {'loss': 1.5, 'overflow/stem': 0.25})
  assert lines_of(tmp_path) == [{
    'step': 3, 'epoch': 0.5, 'kind': 'train', 'loss': 1.5,
    'overflow': {'stem': 0.25},
  }]
  assert list(tmp_path.glob('events.out.tfevents.*'))


def test_torn_line_is_cut(tmp_path):
  with logs.Writer(tmp_path) as writer:
    writer.write(1, 0.5, 'train', {'loss': 1.0})
  with (tmp_path / 'metrics.jsonl').open('a') as file:
    file.write('{"step": 2, "lo')
  with logs.Writer(tmp_path) as writer:
    writer.write(2, 1.0, 'train', {'loss': 2.0})
  assert [(e['step'], e['loss']) for e in lines_of(tmp_path)] == [
    (1, 1.0), (2, 2.0),
  ]


def test_only_a_torn_line(tmp_path):
  (tmp_path / 'metrics.jsonl').write_text('{"step": 2')
  with logs.Writer(tmp_path):
    pass
  assert (tmp_path / 'metrics.jsonl').read_text() == ''
