"""Mapping to cells: small arrays, and what must be larger than what."""

import dataclasses
import pathlib

import pytest

from bnn_jax import errors
from bnn_jax.accelerator import synthesis
from tests.accelerator import installed

NEEDED = installed.needs(synthesis.PROGRAMS)
POINT = synthesis.Point(6, 'wrap', 'threshold', 8)


@NEEDED
def test_what_is_larger_and_slower():
  small = synthesis.measure(POINT)
  wide = synthesis.measure(dataclasses.replace(POINT, bits=16))
  full = synthesis.measure(dataclasses.replace(POINT, norm='full'))
  assert small.gates == small.area / 24
  assert 100 < small.gates < wide.gates < full.gates
  assert 0.5 < small.path < full.path
  assert 0 < small.power


@NEEDED
def test_a_library_that_is_missing():
  library = dataclasses.replace(
    synthesis.OSU018, liberty=pathlib.Path('/nowhere/cells.lib')
  )
  with pytest.raises(errors.UserError, match='/nowhere/cells.lib.*rtl-tools'):
    synthesis.measure(POINT, library)


def test_an_array_that_is_none():
  with pytest.raises(errors.UserError, match='norm=batch'):
    synthesis.measure(dataclasses.replace(POINT, norm='batch'))
  with pytest.raises(errors.UserError, match='norm=none is no unit'):
    synthesis.measure(synthesis.Unit('none', 8))
