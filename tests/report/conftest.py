import json

import pytest

CONFIG = {
  'name': 'kws<b>',
  'data': {'source': 'folder', 'data_dir': '/data/<script>alert(1)</script>'},
  'model': {'name': 'speech_resnet', 'size': 'M', 'variant': 'overflow'},
  'stages': [{'channels': 64}, {'channels': 96}],
}
PROVENANCE = {
  'seed': 7,
  'git_revision': '0123abc',
  'command': ['python', '-m', 'bnn_jax.main', '--workdir=/a b'],
  'devices': ['cpu:0'],
  'versions': {'jax': '0.9.1'},
  'started': '2025-01-02T03:04:05',
  'resumed': [{'started': '2025-01-02T04:00:00', 'git_revision': '4567def'}],
}


def train_line(step, **changes):
  return {
    'step': step, 'epoch': step / 10, 'kind': 'train', 'loss': 2.5,
    'cross_entropy': 2.0, 'penalty': 0.5, 'penalty_weight': 1.0,
    'accuracy': 0.5, 'learning_rate': 1e-3, 'clips_per_second': 1500.0,
    'persistent_rate': 0.02, 'overflow': {'stem': 0.04, 'a&b/conv': 0.0},
    'flip_ratio': 0.01,
  } | changes


def validation_line(step, **changes):
  return {'step': step, 'epoch': step / 10, 'kind': 'validation',
          'accuracy': 0.6, 'loss': 1.5} | changes


def split(correct):
  wrong = 1000 - correct
  return {
    'clips': 2000,
    'accuracy_exact': 0.9375,
    'accuracy_deployed': (correct + 900) / 2000,
    'changed_decisions': 17,
    'confusion': [[correct, wrong], [100, 900]],
    'overflow': [
      {'path': 'stem', 'bits': 7, 'overflow_mode': 'wrap', 'outputs': 2000000,
       'persistent': 24680, 'transient': 1, 'sign_flip': 300000,
       'decision_flip': 30000,
       'decisions': 2000000, 'magnitude': 500000},
      {'path': 'a&b/conv', 'bits': 8, 'overflow_mode': 'wrap',
       'outputs': 400000, 'persistent': 0, 'transient': 400000,
       'sign_flip': 4, 'decision_flip': None,
       'decisions': None, 'magnitude': 0},
    ],
  }


@pytest.fixture
def results():
  layer = {'path': 'stem', 'kind': 'BinaryConv', 'output_shape': [49, 64],
           'operands': 480, 'parameters': 30720, 'memory_bits': 30720,
           'macs': 1505280, 'accumulator_bits': 7, 'safe_bits': 10}
  # A network of both kinds, so that their weights differ in size.
  classifier = {'path': 'classifier', 'kind': 'Classifier', 'output_shape': [2],
                'operands': 64, 'parameters': 128, 'memory_bits': 4096,
                'macs': 128, 'accumulator_bits': None, 'safe_bits': None}
  return {
    'step': 1234,
    'class_names': ['yes', '<no>'],
    'accumulator': {'bits': 8, 'overflow_mode': 'wrap', 'simd': 64,
                    'unit': 'dot'},
    'variant': 'overflow',
    'profile': {'parameters': 30850, 'memory_bits': 33333,
                'binary_macs': 1505280, 'real_macs': 128,
                'macs': 1505408,
                'layers': [layer, classifier]},
    'splits': {'testing': split(950), 'unseen': split(800)},
    'notes': ['3 files & no more were skipped.'],
  }


@pytest.fixture
def float_results(results):
  splits = {
    name: entry | {'overflow': [], 'accuracy_deployed': 0.9375,
                   'changed_decisions': 0}
    for name, entry in results['splits'].items()
  }
  return results | {'variant': 'float', 'splits': splits}


@pytest.fixture
def workdir(tmp_path):
  """A run under way: nothing is evaluated."""
  (tmp_path / 'config.json').write_text(json.dumps(CONFIG))
  (tmp_path / 'provenance.json').write_text(json.dumps(PROVENANCE))
  lines = [train_line(10), train_line(20), validation_line(20)]
  (tmp_path / 'metrics.jsonl').write_text(
    ''.join(json.dumps(line) + '\n' for line in lines)
  )
  return tmp_path


@pytest.fixture
def evaluated(workdir, results):
  (workdir / 'results.json').write_text(json.dumps(results))
  return workdir
