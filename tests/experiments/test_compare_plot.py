from matplotlib import pyplot as plt
import pytest

from experiments import compare_plot


@pytest.mark.parametrize('row_marks, fill', [
  ([], 'full'), (['undertrained'], 'none'), (['float not run'], 'none'),
  (['did not learn'], 'none'),
])
def test_what_supports_no_claim_is_hollow(row_marks, fill):
  row = {
    'method': 'm', 'size': 's', 'variant': 'float', 'accuracy': 90.0,
    'deviation': None, 'bit_operations': 10, 'marks': row_marks,
  }
  figure = compare_plot.draw([row], 't')
  # The first line is the legend's.
  point = figure.axes[0].containers[0].lines[0]
  assert point.get_fillstyle() == fill
  plt.close(figure)
