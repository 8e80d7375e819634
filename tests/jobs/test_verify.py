import hashlib

import numpy as np

from bnn_jax.jobs import verify

NAMES = ['conv', 'classifier']
Q = np.zeros((3, 2, 2), np.uint8)
CLIPS = ['testing[0]', 'testing[1]', 'unseen[0]']


def layers():
  return {
    'conv': np.arange(24).reshape(3, 4, 2),
    'classifier': np.arange(6).reshape(3, 2),
  }


def test_first_difference():
  a, b = layers(), layers()
  assert verify.first_difference(a, b, NAMES) is None
  b['classifier'][1, 1] += 5
  found = verify.first_difference(a, b, NAMES)
  assert found == verify.Difference(1, 'classifier', (1,), (3, 8))
  b['conv'][2, 3, 1] += 1
  b['conv'][1, 2, 0] -= 1
  # The first clip, then its first layer.
  found = verify.first_difference(a, b, NAMES)
  assert found == verify.Difference(1, 'conv', (2, 0), (12, 11))
  assert verify.first_difference(a, None, NAMES) is None


def compare(made, tells=True):
  lines: list[str] = []

  def of_clip(engine, q):
    del q
    if not tells:
      return None
    return {name: value[2:] for name, value in made[engine].items()}

  logits = {engine: values['classifier'] for engine, values in made.items()}
  equal = verify.compare_logits(logits, of_clip, Q, NAMES, CLIPS, lines.append)
  return equal, lines


def test_every_pair_is_told():
  equal, lines = compare({'x': layers(), 'y': layers(), 'z': layers()})
  assert equal
  assert lines == [
    'x vs y: mismatches: 0 of 6', 'x vs z: mismatches: 0 of 6',
    'y vs z: mismatches: 0 of 6',
  ]


def test_a_mismatch_is_told_with_its_place():
  wrong = layers()
  wrong['classifier'][2] += 3
  equal, lines = compare({'x': layers(), 'y': wrong}, tells=False)
  assert not equal
  assert lines == [
    'x vs y: mismatches: 2 of 6',
    '  first: clip unseen[0], layer classifier, index [0]: 4 and 7',
  ]
  wrong['conv'][2, 1, 1] = -1
  _, lines = compare({'x': layers(), 'y': wrong})
  assert lines[1] == (
    '  first: clip unseen[0], layer conv, index [1, 1]: 19 and -1'
  )


def test_digest():
  logits = np.array([[1, -2], [300, 4]])
  content = b'\1\0\0\0' b'\xfe\xff\xff\xff' b'\x2c\1\0\0' b'\4\0\0\0'
  expected = hashlib.sha256(content).hexdigest()
  assert verify.digest(logits.astype(np.int64)) == expected
  assert verify.digest(logits.astype(np.int32)) == expected
