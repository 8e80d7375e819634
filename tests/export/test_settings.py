import dataclasses

import pytest

from bnn_jax import errors
from bnn_jax import features
from bnn_jax.export import c_engine
from bnn_jax.export import files
from bnn_jax.export import golden
from bnn_jax.export import print_c
from bnn_jax.export import settings
from tests.export import c_networks
from tests.export import networks

LINES = '1\n#error "'


def test_every_setting_of_a_front_end_is_known():
  front_end = dataclasses.asdict(features.FrontEnd())
  settings.check(front_end)
  assert front_end.keys() == {'kind', *settings.WHOLE, *settings.REAL}
  settings.check({})
  settings.check({'kind': 'mfcc', 'hop_ms': 20, 'lower_hz': 0})


@pytest.mark.parametrize('name, value', [
  ('kind', 'waveform'), ('kind', ['log_mel']), ('kind', None),
  ('sample_rate', '16000'), ('sample_rate', 16000.0), ('sample_rate', True),
  ('sample_rate', 0), ('sample_rate', 2**21), ('sample_rate', LINES),
  ('mel_bins', -1), ('window_ms', '30'), ('window_ms', float('nan')),
  ('hop_ms', float('inf')), ('hop_ms', 10**400), ('hop_ms', 0.0),
  ('window_ms', 0), ('log_floor', 0.0), ('log_floor', -1e-9), ('upper_hz', -1),
  ('hop', 10.0), (LINES, 3),
])
def test_what_is_no_setting(name, value):
  model = dataclasses.replace(networks.network(), front_end={name: value})
  with pytest.raises(errors.UserError, match='front_end, field ') as caught:
    print_c.sources(model)
  assert '\n' not in str(caught.value)


def test_texts_of_a_foreign_network_stay_within_literals_and_comments(tmp_path):
  """Names of classes and layers are the only texts that reach C."""
  evil = '"; }\n#error */ int x; /* \\'
  model = c_networks.side_by_side(c_networks.CASES[:1])
  plain = print_c.sources(model)
  first, *others = model.layers
  renamed = [dataclasses.replace(first, name=evil)]
  for one in others:
    inputs = tuple(evil if name == 'encode' else name for name in one.inputs)
    renamed.append(dataclasses.replace(one, inputs=inputs))
  model = dataclasses.replace(
    model, layers=tuple(renamed), class_names=(evil, '\0', '??/\n"'),
    front_end={'sample_rate': 8000}, provenance={'step': evil},
  )
  found = print_c.sources(model)
  assert found[print_c.HEADER] == plain[print_c.HEADER]
  for name, text in found.items():
    assert text.count('\n') == plain[name].count('\n')
    assert '\n#error' not in text
  files.write(tmp_path / 'export', model)
  q = c_networks.clips(2)
  wanted = golden.logits(golden.read(tmp_path / 'export'), q)
  if c_engine.missing() is None:
    found = c_engine.logits(tmp_path / 'export', q)
    assert found.tolist() == wanted.tolist()
