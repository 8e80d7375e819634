import io

import pytest
from rich import console as console_lib

from bnn_jax.report import console


def printed(results, width=80):
  file = io.StringIO()
  console.print_results(results, console_lib.Console(file=file, width=width))
  return file.getvalue()


def rows(text):
  return [line.split() for line in text.splitlines()]


@pytest.mark.parametrize('width', [80, 120])
def test_numbers_are_those_of_the_results(results, width):
  found = rows(printed(results, width))
  assert ['testing', '2,000', '93.75', '92.50', '−1.25', '17'] in found
  assert ['unseen', '2,000', '93.75', '85.00', '−8.75', '17'] in found
  stem = ['stem', '7', 'wrap', '1.234', '<0.001', '15.000', '1.500']
  assert found.count(stem) == 2
  conv = ['a&b/conv', '8', 'wrap', '0', '100.000', '0.001', '–']
  assert found.count(conv) == 2
  assert 'accumulator 8 bits, wrap dot, 64 lanes an addition'.split() in found
  assert 'parameters 30,850'.split() in found
  assert 'memory 33,333 bits 4.2 kB'.split() in found
  assert 'binary operations (MACs) 1,505,280 a clip'.split() in found
  assert 'real operations (MACs) 128 a clip'.split() in found
  assert results['notes'][0].split() in found


def test_no_line_is_wider_than_the_console(results):
  results['splits']['testing']['overflow'][0]['path'] = 'block/' * 12
  assert max(map(len, printed(results, 80).splitlines())) <= 80


def test_names_are_no_markup(results):
  results['notes'] = ['see [bold]this[/bold]']
  results['splits']['testing']['overflow'][0]['path'] = 'x[red]y'
  text = printed(results)
  assert 'see [bold]this[/bold]' in text
  assert 'x[red]y' in text


def test_split_names_in_titles_are_no_markup(results):
  results['splits'] = {'a[b]c': results['splits']['testing']}
  assert 'Overflow on a[b]c, % of outputs' in printed(results)


def test_float_network_has_no_overflow_table(float_results):
  text = printed(float_results)
  assert 'Overflow' not in text
  assert ['testing', '2,000', '93.75', '93.75', '0.00', '0'] in rows(text)


def test_parts_in_order(results):
  parts = console.results_table(results)
  titles = [str(part.title) for part in parts[:-1]]
  assert [title.split(',')[0] for title in titles] == [
    'Accuracy', 'Overflow on testing', 'Overflow on unseen', 'Size']
