from experiments import compare_methods

RECALLED = 'recalled, unverified'
SECOND = 'second-hand'
QUOTED = 'as quoted by the paper of BC-ResNet'
TOPOLOGY = 'ds_tc_resnet of kws_streaming, the same topology'
CODE = "authors' code"

# Network, size (of another variant than float, with it); accuracy in percent
# and its deviation; data, classes and protocol of the test; where it was read.
ACCURACIES = [
  ('dnn', 'S', 84.6, None, 'V1', 12, 'hello_edge', RECALLED),
  ('dnn', 'L', 86.7, None, 'V1', 12, 'hello_edge', RECALLED),
  ('cnn_one_fstride4', 'one-fstride4', 84.6, None, 'V1', 12, 'tc_resnet',
   RECALLED),
  ('cnn_trad_fpool3', 'trad-fpool3', 90.7, None, 'V1', 12, 'tc_resnet',
   RECALLED),
  ('crnn', 'S', 94.0, None, 'V1', 12, 'hello_edge', SECOND),
  ('crnn', 'L', 95.0, None, 'V1', 12, 'hello_edge', RECALLED),
  ('ds_cnn', 'S', 94.4, None, 'V1', 12, 'hello_edge', SECOND),
  ('ds_cnn', 'L', 95.4, None, 'V1', 12, 'hello_edge', 'abstract'),
  ('res', 'res8', 94.1, None, 'V1', 12, 'honk', RECALLED),
  ('res', 'res15', 95.8, None, 'V1', 12, 'honk', QUOTED),
  ('tc_resnet', '8', 96.1, None, 'V1', 12, 'tc_resnet', SECOND),
  ('tc_resnet', '14-1.5', 96.6, None, 'V1', 12, 'tc_resnet', QUOTED),
  ('matchboxnet', '3x1x64', 97.2, None, 'V1', 30, 'NeMo', QUOTED),
  ('matchboxnet', '3x1x64', 96.9, None, 'V2', 35, 'NeMo', QUOTED),
  ('matchboxnet', '3x1x64', 98.0, None, 'V2', 12, 'kws_streaming', TOPOLOGY),
  ('matchboxnet', '3x2x64', 97.5, None, 'V1', 30, 'NeMo', QUOTED),
  ('matchboxnet', '3x2x64', 97.2, None, 'V2', 35, 'NeMo', QUOTED),
  ('matchboxnet', '3x2x64', 97.21, 0.072, 'V2', 35, 'NeMo', SECOND),
  ('mhatt_rnn', 'paper', 97.2, None, 'V1', 12, 'kws_streaming', QUOTED),
  ('mhatt_rnn', 'paper', 98.0, None, 'V2', 12, 'kws_streaming', QUOTED),
  ('mhatt_rnn', 'new', 98.4, None, 'V2', 12, 'kws_streaming', 'kws_streaming'),
  ('kwt', '1', 97.7, None, 'V2', 12, 'kws_streaming', CODE),
  ('bc_resnet', '1', 96.6, 0.21, 'V1', 12, 'official', 'paper'),
  ('bc_resnet', '1', 96.9, 0.30, 'V2', 12, 'official', 'paper'),
  ('bc_resnet', '3', 97.6, None, 'V1', 12, 'official', 'paper'),
  ('bc_resnet', '3', 98.2, None, 'V2', 12, 'official', 'paper'),
  ('bc_resnet', '8', 98.0, None, 'V1', 12, 'official', 'paper'),
  ('bc_resnet', '8', 98.7, None, 'V2', 12, 'official', 'paper'),
]
# The same of what a binary network loses to its float one, in points.
LOSSES = [
  ('bifsmn', 'v1-paper', 3.0, None, 'V1', 12, 'bifsmn', 'abstract'),
  ('bifsmn', 'v2-paper', 1.51, None, 'V1', 12, 'bifsmn', 'abstract'),
]


def rows(losses):
  return sorted(
    (
      method.name, network, one.number, one.deviation, one.data, one.classes,
      one.protocol, one.source,
    )
    for method in compare_methods.METHODS
    for network, numbers in method.published.items()
    for one in numbers if one.is_loss == losses
  )


def test_accuracies_are_the_published_ones():
  assert rows(losses=False) == sorted(ACCURACIES)


def test_losses_are_the_published_ones():
  assert rows(losses=True) == sorted(LOSSES)


def test_what_was_recalled_is_no_fact():
  unverified = {
    (method.name, network)
    for method in compare_methods.METHODS
    for network, numbers in method.published.items()
    for one in numbers if not one.verified
  }
  assert unverified == {row[:2] for row in ACCURACIES if row[-1] == RECALLED}


def test_tests_by_lists_of_their_own():
  own = {
    (method.name, network)
    for method in compare_methods.METHODS
    for network, numbers in method.published.items()
    for one in numbers if one.own_lists
  }
  assert own == {
    ('cnn_one_fstride4', 'one-fstride4'), ('cnn_trad_fpool3', 'trad-fpool3'),
    ('tc_resnet', '8'), ('tc_resnet', '14-1.5'),
  }
