import json

import pytest

from bnn_jax.report import elements

NASTY = '<i a="b" c=\'d\'>&amp;'
ESCAPED = '&lt;i a=&quot;b&quot; c=&#x27;d&#x27;&gt;&amp;amp;'


@pytest.mark.parametrize('made', [
  elements.tag('p', NASTY),
  elements.tag('p', '', title=NASTY),
  elements.section('s', NASTY),
  elements.table(['', NASTY], []),
  elements.table(['a'], [[NASTY]]),
  elements.table(['a'], [[elements.Cell(NASTY, 0.5)]]),
  elements.facts([(NASTY, '')]),
  elements.facts([('', NASTY)]),
  elements.join(['', NASTY]),
])
def test_strings_are_escaped_once(made):
  assert ESCAPED in made
  assert '<i' not in made


def test_html_is_not_escaped_again():
  inner = elements.tag('b', '1 < 2')
  assert elements.tag('p', inner) == '<p><b>1 &lt; 2</b></p>'


def test_cell_shows_its_share():
  cells = [elements.Cell('x', 0.25), elements.Cell('y', 0.0)]
  made = elements.table(['', ''], [cells], texts=0)
  assert '<td class="number bad" style="--share:0.250">x</td>' in made
  assert '<td class="number">y</td>' in made


@pytest.mark.parametrize('value', [1, 1e-5, True, None, 'é', [1, [2]], {}, []])
def test_leaf_of_a_tree_is_json(value):
  made = elements.tree(value)
  content = made.removeprefix('<code>').removesuffix('</code>')
  assert json.loads(content.replace('&quot;', '"')) == value
