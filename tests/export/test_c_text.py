import numpy as np

from bnn_jax.export import c_text


def test_array():
  text = c_text.array('int16_t', 'name', np.array([[1, -2], [3, 4]]))
  assert text == 'static const int16_t name[4] = {\n  1, -2, 3, 4,\n};'
  text = c_text.array('uint64_t', 'w', np.array([2**64 - 1], np.uint64))
  assert '  UINT64_C(0xffffffffffffffff),\n' in text
  text = c_text.array('int32_t', 'w', np.array([-(2**31)]))
  assert '  (-2147483647 - 1),\n' in text
  lines = c_text.array('int32_t', 'w', np.arange(1000)).splitlines()
  assert max(map(len, lines)) <= 80
  items = ' '.join(lines[1:-1]).replace(',', '').split()
  assert items == [str(i) for i in range(1000)]


def test_string():
  assert c_text.string('yes') == '"yes"'
  assert c_text.string('a "b"\\') == '"a \\042b\\042\\134"'
  # No trigraph, and no digit can follow an escape that is not full.
  assert c_text.string('é??/1') == '"\\303\\251\\077\\077/1"'
  assert c_text.string('\n') == '"\\012"'


def test_comment():
  assert c_text.comment('block0/conv') == '/* block0/conv */'
  assert c_text.comment('a */ b\n') == '/* a__/_b_ */'
