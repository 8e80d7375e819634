import pytest

from bnn_jax.accelerator import energy


@pytest.mark.parametrize('found, published', [
  # Horowitz 2014, figure 1.1.9; an 8-bit addition of 0.025 is printed as 0.03.
  (energy.addition(32), 0.1),
  (energy.addition(8), 0.025),
  (energy.multiplication(8, 8), 0.2),
  (energy.multiplication(32, 32), 3.1),
  (energy.memory(64, 8 * 1024), 10.0),
  (energy.memory(64, 32 * 1024), 20.0),
  (energy.memory(64, 1024 * 1024), 100.0),
  (energy.memory(64, 8 * 1024**2), 1300.0),
])
def test_points_of_the_table(found, published):
  assert found == pytest.approx(published, rel=1e-12)


def test_between_and_beyond_the_points():
  assert energy.memory(64, 16 * 1024) == pytest.approx(10 * 2**0.5)
  assert energy.memory(64, 2 * 1024) == pytest.approx(5.0)
  assert energy.memory(128, 2 * 1024) == pytest.approx(10.0)
  beyond = energy.memory(64, 2**22) / energy.memory(64, 2**20)
  assert beyond == pytest.approx(5 ** (2 / 5))
  assert energy.multiplication(8, 16) == energy.multiplication(16, 8)
  assert 0.2 < energy.multiplication(8, 16) < energy.multiplication(16, 16)
