import json
import struct

import jax
from tensorboardX.proto import event_pb2

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


def events_of(folder):
  """All events; a record has its length and two checksums around it."""
  events = []
  for path in sorted(folder.glob('events.out.tfevents.*')):
    content = path.read_bytes()
    while content:
      length = struct.unpack('<Q', content[:8])[0]
      events.append(event_pb2.Event.FromString(content[12 : 12 + length]))
      content = content[16 + length :]
  return events


def test_tensorboard_forgets_what_comes_again(tmp_path):
  with logs.Writer(tmp_path, 20) as writer:
    writer.write(21, 2.0, 'train', {'loss': 2.0})
  events = events_of(tmp_path)
  start = event_pb2.SessionLog.START
  # Events from this step on are dropped, but not those of step 20.
  assert [e.step for e in events if e.session_log.status == start] == [21]
  assert [(e.step, v.tag, v.simple_value) for e in events
          for v in e.summary.value] == [(21, 'train/loss', 2.0)]


def test_only_the_first_process_writes(tmp_path, monkeypatch):
  monkeypatch.setattr(jax, 'process_index', lambda: 1)
  with logs.Writer(tmp_path) as writer:
    writer.write(1, 0.5, 'train', {'loss': 1.0})
  assert list(tmp_path.iterdir()) == []
