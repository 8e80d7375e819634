import os

import pytest

from bnn_jax import errors
from bnn_jax.accelerator import fpga
from bnn_jax.accelerator import synthesis
from bnn_jax.accelerator import tools

SENTENCE = tools.missing(fpga.PROGRAMS)
POINT = synthesis.Point(4, 'wrap', 'threshold', 4)


@pytest.mark.skipif(SENTENCE is not None, reason=str(SENTENCE))
def test_a_wider_accumulator_takes_more():
  small = fpga.measure(POINT, (1,))
  wide = fpga.measure(synthesis.Point(12, 'wrap', 'threshold', 4), (1,))
  assert 10 < small.luts < wide.luts
  assert small.registers < wide.registers
  assert 20 < wide.frequency < small.frequency < 1000
  assert small.spread == 0


def test_missing_tools(monkeypatch):
  monkeypatch.setitem(os.environ, 'PATH', '')
  with pytest.raises(errors.UserError, match='nextpnr-ice40.*--with-fpga'):
    fpga.measure(POINT)
