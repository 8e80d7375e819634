from html import parser
import json
import os
import re

import pytest

from bnn_jax import errors
from bnn_jax.report import html

# Elements that HTML never closes.
VOID = {'meta'}


class Page(parser.HTMLParser):
  """Collects a page's text, by section, and the rows of its tables.

  Attributes:
    tags: every element in order, with its attributes.
    rows: section to its tables' rows of cells.
    texts: section to the text outside of tables' cells.
  """

  def __init__(self, content):
    super().__init__()
    self.tags, self.rows, self.texts = [], {}, {}
    self.section, self.open, self.cell = 'top', [], None
    self.feed(content)
    assert self.open == []

  def handle_starttag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))
    if tag not in VOID:
      self.open.append(tag)
    if tag == 'section':
      self.section = dict(attrs)['id']
    elif tag == 'tr':
      self.rows.setdefault(self.section, []).append([])
    elif tag in ('td', 'th'):
      self.cell = ''

  def handle_startendtag(self, tag, attrs):
    self.tags.append((tag, dict(attrs)))

  def handle_endtag(self, tag):
    assert self.open.pop() == tag
    if tag in ('td', 'th'):
      self.rows[self.section][-1].append(self.cell)
      self.cell = None

  def handle_data(self, data):
    if self.cell is not None:
      self.cell += data
    elif data.strip() and not set(self.open) & {'style', 'svg'}:
      self.texts.setdefault(self.section, []).append(data.strip())


def read(workdir):
  return Page(html.write(workdir).read_text(encoding='utf-8'))


def test_headline_numbers(evaluated):
  texts = read(evaluated).texts['top']
  at = texts.index('Accuracy, deployed')
  assert texts[at:at + 21] == [
    'Accuracy, deployed', '92.50 %', '−1.25 points against exact',
    'Accuracy, exact', '93.75 %', '2,000 clips, testing',
    'Changed decisions', '17', '0.850 % of the clips',
    'Accumulator', '8 bits, wrap', 'dot, 64 lanes an addition',
    'Parameters', '30.9 k', '30,850',
    'Memory', '4.2 kB', '33,333 bits',
    'Binary operations (MACs)', '1.51 M', '1,505,280 a clip; real: 128',
  ]


def test_tables_hold_the_numbers_of_the_results(evaluated):
  rows = read(evaluated).rows
  assert rows['accuracy'][1:] == [
    ['testing', '2,000', '93.75', '92.50', '−1.25', '17'],
    ['unseen', '2,000', '93.75', '85.00', '−8.75', '17'],
  ]
  assert rows['overflow'][1:3] == [
    ['stem', '7', 'wrap', '2,000,000', '1.234', '<0.001', '15.000', '1.500',
     '0.250'],
    ['a&b/conv', '8', 'wrap', '400,000', '0', '100.000', '0.001', '–',
     '0.000'],
  ]
  assert rows['confusion'] == [
    ['', 'yes', '<no>', ''],
    ['yes', '950', '50', '95.0'], ['<no>', '100', '900', '90.0'],
    ['', 'yes', '<no>', ''],
    ['yes', '800', '200', '80.0'], ['<no>', '100', '900', '90.0'],
  ]
  assert rows['layers'][1:] == [
    ['stem', 'BinaryConv', '49 × 64', '480', '30,720', '30,720', '1,505,280',
     '7', '10'],
    ['classifier', 'Classifier', '2', '64', '128', '4,096', '128', '–', '–'],
    ['all', '', '', '', '30,850', '33,333', '1,505,408', '', ''],
  ]


def test_config_is_complete(evaluated):
  assert read(evaluated).texts['config'] == [
    'Configuration', 'name', '"kws<b>"', 'data', 'source', '"folder"',
    'data_dir', '"/data/<script>alert(1)</script>"', 'model', 'name',
    '"speech_resnet"', 'size', '"M"', 'variant', '"overflow"', 'stages',
    '0', 'channels', '64', '1', 'channels', '96',
  ]


def test_provenance(evaluated):
  texts = read(evaluated).texts['provenance']
  facts = dict(zip(texts[1:], texts[2:], strict=False))
  assert facts['seed'] == '7'
  assert facts['git revision'] == '0123abc'
  assert facts['command'] == "python -m bnn_jax.main '--workdir=/a b'"
  assert facts['versions'] == 'jax 0.9.1'
  assert facts['resumed'] == '2025-01-02T04:00:00 (4567def)'
  assert facts['clips a second'] == '1,500 (median of training)'


def test_input_is_escaped(evaluated):
  page = read(evaluated)
  content = (evaluated / 'report.html').read_text()
  assert not {'script', 'b>', 'no'} & {tag for tag, _ in page.tags}
  assert '<script' not in content
  assert '&lt;script&gt;alert(1)' in content
  assert '<title>kws&lt;b&gt;: training report</title>' in content


def test_file_is_self_contained(evaluated):
  page = read(evaluated)
  content = (evaluated / 'report.html').read_text()
  assert re.findall(r'https?://|@import|url\((?!#)', content) == []
  assert not {tag for tag, _ in page.tags} & {
    'script', 'link', 'iframe', 'object', 'embed', 'base'}
  references = [
    attributes[key] for _, attributes in page.tags
    for key in ('src', 'href', 'xlink:href', 'srcset') if key in attributes
  ]
  assert references
  assert all(r.startswith(('#', 'data:image/png')) for r in references)


def test_identifiers_are_unique_and_links_arrive(evaluated):
  page = read(evaluated)
  ids = [attributes['id'] for _, attributes in page.tags if 'id' in attributes]
  assert len(ids) == len(set(ids))
  links = [a['href'] for tag, a in page.tags if tag == 'a']
  assert len(links) == 8
  assert {link[1:] for link in links} <= set(ids)


def test_plots_are_there(evaluated):
  page = read(evaluated)
  assert [tag for tag, _ in page.tags].count('svg') == 7
  labels = [t for t in page.texts['curves'] if t[0].isupper()]
  assert labels == ['Learning curves', 'Accuracy', 'Loss', 'Overflow penalty',
                    'Learning rate', 'Overflow', 'Weight flips']


def test_last_of_repeated_steps_is_drawn(workdir):
  first = html.write(workdir).read_text()
  path = workdir / 'metrics.jsonl'
  lines = path.read_text().splitlines(keepends=True)
  other = json.dumps(json.loads(lines[1]) | {'loss': 99.0}) + '\n'
  path.write_text(lines[0] + other + ''.join(lines[1:]) + lines[1][:40])
  assert html.write(workdir).read_text() == first
  path.write_text(''.join(lines) + other)
  assert html.write(workdir).read_text() != first


def test_report_that_cannot_be_written(evaluated):
  before = sorted(evaluated.iterdir())
  (evaluated / 'report.html').mkdir()
  with pytest.raises(errors.UserError, match='report.html could not be writ'):
    html.write(evaluated)
  (evaluated / 'report.html').rmdir()
  assert sorted(evaluated.iterdir()) == before


def test_run_under_way_says_that_evaluation_has_not_run(workdir):
  page = read(workdir)
  assert any('The evaluation has not run' in t for t in page.texts['top'])
  assert set(page.texts) == {'top', 'curves', 'time', 'config', 'provenance'}
  assert page.rows == {}


def test_config_alone_is_enough(workdir):
  (workdir / 'metrics.jsonl').unlink()
  (workdir / 'provenance.json').unlink()
  texts = read(workdir).texts
  assert texts['curves'][1] == 'No metrics have been written yet.'
  assert texts['provenance'][1] == 'No provenance.json has been written.'


def test_float_network(workdir, float_results):
  (workdir / 'results.json').write_text(json.dumps(float_results))
  page = read(workdir)
  assert 'overflow' not in page.texts
  assert 'real-valued' in page.texts['top']
  assert page.rows['accuracy'][1][2:6] == ['93.75', '93.75', '0.00', '0']


@pytest.mark.parametrize('source, sentence', [
  ('folder', 'Data: Speech Commands, Warden 2018, CC-BY 4.0.'),
  ('synthetic', 'Data: synthetic speech by espeak-ng; proves that the program'
   ' works, no claim about methods.'),
])
def test_attribution(workdir, source, sentence):
  config = {'data': {'source': source}}
  (workdir / 'config.json').write_text(json.dumps(config))
  assert read(workdir).texts['provenance'][-1] == sentence


def test_missing_config_is_named(tmp_path):
  with pytest.raises(errors.UserError, match='config.json does not exist'):
    html.write(tmp_path)
  assert list(tmp_path.iterdir()) == []


def test_report_is_replaced_whole(evaluated, monkeypatch):
  html.write(evaluated).write_text('old')
  seen = []

  def replace(source, target):
    seen.append((target.read_text(), source.read_text()[-8:]))
    assert source.parent == target.parent
    os.rename(source, target)

  monkeypatch.setattr(html.os, 'replace', replace)
  before = sorted(p.name for p in evaluated.iterdir())
  path = html.write(evaluated)
  assert seen == [('old', '</html>\n')]
  assert path == evaluated / 'report.html'
  assert sorted(p.name for p in evaluated.iterdir()) == before
