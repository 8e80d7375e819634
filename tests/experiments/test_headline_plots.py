from experiments import headline_compare
from experiments import headline_costs
from experiments import headline_networks
from experiments import headline_plots
from experiments import headline_results
from tests.experiments import headline_parts


def result(method, size):
  name = headline_networks.Name(method, size)
  return headline_results.Result(name, 7, 'wrap', 0.9, None, 1, '', '')


def test_waterfall_tells_every_change(tmp_path):
  match = headline_compare.Match(
    ours=result('ours', 'S'), arrangement='shared', less={}, faster={},
    waterfall={'network': 1.5, 'width': 0.75, 'shift': 0.5}, bound={},
    threshold=0.0, weights=1.0,
  )
  headline_plots.waterfall(tmp_path / 'a.svg', [
    headline_compare.Comparison(result('crnn', 'S'), match),
    headline_compare.Comparison(result('kwt', '1'), None),
  ])
  # Each text stands in a comment before its shapes; ticks have no decimals.
  svg = (tmp_path / 'a.svg').read_text()
  for words in ('+50.0', '-75.0', '-25.0', '50.0'):
    assert svg.count(f'<!-- {words} -->') == 1
  assert '<!-- crnn S: ours S, wrap 7 -->' in svg and 'kwt' not in svg


def test_lines_are_of_machines(tmp_path):
  found = {
    label: headline_costs.points(
      [headline_parts.layer()], machine, headline_parts.PARTS
    )['shared'] for label, machine in (
      ('usual', headline_costs.USUAL),
      ('narrow', headline_costs.register(8, 'wrap')),
    )
  }
  headline_plots.lanes(tmp_path / 'new' / 'a.svg', 'ours', found)
  svg = (tmp_path / 'new' / 'a.svg').read_text()
  for words in ('usual', 'narrow', 'ours', '8', '64'):
    assert f'<!-- {words} -->' in svg
