import pytest

from bnn_jax.jobs import export
from bnn_jax.training import workdir
from configs import kws


def config(string='smoke,data=folder,data_dir=x', **changes):
  made = kws.get_config(string).unlock()
  made.update_from_flattened_dict(changes)
  return made


@pytest.mark.parametrize('changes, name', [
  ({}, 'export'),
  ({'data.data_dir': 'y', 'seed': 3}, 'export'),
  ({'accumulator.bits': 6}, 'export-6-wrap-64-dot'),
  ({'model.variant': 'binary'}, 'export-7-exact-64-dot'),
  ({'accumulator.overflow_mode': 'saturate', 'accumulator.gradient': 'clip'},
   'export-7-saturate-64-dot'),
])
def test_export_path(tmp_path, changes, name):
  workdir.prepare(tmp_path, config().to_dict(), seed=0)
  path = export.export_path(config(**changes), tmp_path)
  assert path == tmp_path / name


def test_export_path_tells_rules_for_layers_apart(tmp_path):
  workdir.prepare(tmp_path, config().to_dict(), seed=0)
  names = {
    export.export_path(
      config(**{'accumulator.layer_bits': (('stem', bits),)}), tmp_path
    ).name
    for bits in (9, 10)
  }
  assert len(names) == 2
  assert all(name.startswith('export-7-wrap-64-dot-') for name in names)
