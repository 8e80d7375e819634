import numpy as np

from bnn_jax.accelerator import images


def test_rows_have_the_first_number_in_the_lowest_bits():
  bits = images.rows(np.array([[1, -2], [3, 0]]), 3)
  assert bits.tolist() == [[1, 0, 0, 0, 1, 1], [1, 1, 0, 0, 0, 0]]


def test_a_file_has_the_highest_digit_first_and_ends_its_last_line(tmp_path):
  values = np.array([[0x1, 0xabc], [0xfff, 0x002]])
  images.write(tmp_path / 'x.hex', images.rows(values, 12))
  assert (tmp_path / 'x.hex').read_text() == 'abc001\n002fff\n'
  images.write(tmp_path / 'x.hex', images.rows(np.array([[-1], [2]]), 5))
  assert (tmp_path / 'x.hex').read_text() == '1f\n02\n'
  assert [path.name for path in tmp_path.iterdir()] == ['x.hex']
