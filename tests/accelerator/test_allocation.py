from bnn_jax.accelerator import allocation

Array = allocation.Array


def test_rows_are_taken_again_once_an_array_is_read_no_more():
  places, rows = allocation.places([
    Array('a', 10, 0, 1, ''), Array('b', 4, 1, 2, ''), Array('c', 7, 2, 3, ''),
    Array('d', 5, 3, 4, ''),
  ])
  # a is free for c; d fits between c and b's former end.
  assert places == {'a': 0, 'b': 10, 'c': 0, 'd': 7}
  assert rows == 14


def test_an_array_read_by_a_step_is_kept_while_it_writes():
  places, rows = allocation.places([
    Array('a', 3, 0, 5, ''), Array('b', 3, 5, 6, ''),
  ])
  assert places == {'a': 0, 'b': 3}
  assert rows == 6


def test_an_array_may_take_the_place_of_its_residual():
  places, rows = allocation.places([
    Array('a', 3, 0, 1, ''), Array('b', 3, 1, 2, 'a'), Array('c', 9, 2, 2, ''),
  ])
  assert places == {'a': 0, 'b': 0, 'c': 3}
  assert rows == 12


def test_no_array():
  assert allocation.places([]) == ({}, 0)
