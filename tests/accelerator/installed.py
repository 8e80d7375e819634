"""Skips what needs the hardware tools, but not where they must be there."""

import os

import pytest

from bnn_jax.accelerator import tools


def needs(programs=tools.VERILATOR) -> pytest.MarkDecorator:
  """A mark for tests; CI has the tools, so that a lack fails there."""
  sentence = tools.missing(programs)
  skip = sentence is not None and os.environ.get('CI') != 'true'
  return pytest.mark.skipif(skip, reason=sentence or 'all there')
