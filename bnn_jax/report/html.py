"""The report of a run: one HTML file that needs nothing but itself."""

import os
import pathlib
import shlex
from typing import Any

from bnn_jax import errors
from bnn_jax.report import elements
from bnn_jax.report import formats
from bnn_jax.report import plots
from bnn_jax.report import style
from bnn_jax.report import workdir as workdir_lib

Json = dict[str, Any]
Html = elements.Html

_ATTRIBUTIONS = {
  'folder': 'Speech Commands, Warden 2018, CC-BY 4.0',
  'tfds': 'Speech Commands, Warden 2018, CC-BY 4.0',
  'synthetic': (
    'synthetic speech by espeak-ng; proves that the program works, no claim'
    ' about methods'
  ),
}


def write(workdir: str | os.PathLike[str]) -> pathlib.Path:
  """Writes a run's report.html; it appears whole or not at all.

  Args:
    workdir: what a run wrote, finished or not; see `workdir.read`.

  Returns:
    The path of the report.

  Raises:
    UserError: there is no config.json, a file cannot be understood, or the
      report cannot be written.
  """
  content = page(workdir_lib.read(workdir))
  target = pathlib.Path(workdir) / 'report.html'
  # A leading dot hides what an interrupted write leaves from any listing.
  temporary = target.with_name(f'.{target.name}.{os.getpid()}')
  try:
    temporary.write_text(content, encoding='utf-8')
    temporary.replace(target)
  except OSError as error:
    temporary.unlink(missing_ok=True)
    raise errors.UserError(
      f'{target} could not be written ({error.strerror}); free some space and '
      'start again with --mode=report.'
    ) from error
  return target


def page(run: workdir_lib.Run) -> str:
  """Returns the whole page of a run."""
  sections = [
    *([] if run.results is None else _evaluation(run.results)),
    ('curves', 'Learning curves', _curves(run)),
    ('time', 'Overflow over time', _overflow_over_time(run)),
    *([] if run.results is None else _details(run.results)),
    ('config', 'Configuration', _config(run.config)),
    ('provenance', 'Provenance', _provenance(run)),
  ]
  drawn = [(name, title, part) for name, title, part in sections if part]
  links = [
    elements.tag('a', title, href=f'#{name}') for name, title, _ in drawn
  ]
  title = str(run.config.get('name', 'run'))
  body = elements.join((
    elements.tag('header', elements.join((
      elements.tag('h1', title), _lead(run),
      elements.tag('nav', elements.join(links)),
    ))),
    _not_evaluated() if run.results is None else _cards(run.results),
    *(elements.section(*section) for section in drawn),
    elements.tag('footer', f'Data: {_attribution(run.config)}.'),
  ))
  return style.PAGE.substitute(
    title=elements.text(f'{title}: training report'), style=style.SHEET,
    body=body,
  )


def _lead(run: workdir_lib.Run) -> Html:
  """One line: which network, how long trained, when, on what."""
  model = run.config.get('model')
  known = [] if not isinstance(model, dict) else [
    str(model[key]) for key in ('name', 'size', 'variant') if key in model
  ]
  if run.train:
    last = run.train[-1]
    known.append(
      f'{formats.integer(last["step"])} steps, {last["epoch"]:.4g} epochs'
    )
  if 'started' in run.provenance:
    known.append(f'started {run.provenance["started"]}')
  return elements.tag('p', ' · '.join(known), class_='lead')


def _not_evaluated() -> Html:
  return elements.tag(
    'p', 'The evaluation has not run: there is no results.json yet. Start'
    ' with --mode=evaluate on this workdir to measure accuracy and overflow.',
    class_='notice',
  )


def _cards(results: Json) -> Html:
  """The headline numbers."""
  profile = results['profile']
  cards = _accuracy_cards(results) + [
    ('Accumulator', formats.accumulator(results),
     formats.accumulator_detail(results)),
    ('Parameters', formats.compact(profile['parameters']),
     formats.integer(profile['parameters'])),
    ('Memory', formats.kilobytes(profile['memory_bits']),
     f'{formats.integer(profile["memory_bits"])} bits'),
    ('Binary operations (MACs)', formats.compact(profile['binary_macs']),
     f'{formats.integer(profile["binary_macs"])} a clip;'
     f' real: {formats.integer(profile["real_macs"])}'),
  ]
  return elements.tag('div', elements.join(
    elements.tag('div', elements.join((
      elements.tag('span', name), elements.tag('b', value),
      elements.tag('small', detail),
    )), class_='card') for name, value, detail in cards
  ), class_='cards')


def _accuracy_cards(results: Json) -> list[tuple[str, str, str]]:
  if not results['splits']:
    return []
  name, split = next(iter(results['splits'].items()))
  exact, deployed = split['accuracy_exact'], split['accuracy_deployed']
  changed, clips = split['changed_decisions'], split['clips']
  return [
    ('Accuracy, deployed', f'{formats.percent(deployed)} %',
     f'{formats.points(deployed - exact)} points against exact'),
    ('Accuracy, exact', f'{formats.percent(exact)} %',
     f'{formats.integer(clips)} clips, {name}'),
    ('Changed decisions', formats.integer(changed),
     f'{formats.rate(changed, clips)} % of the clips'),
  ]


def _evaluation(results: Json) -> list[tuple[str, str, str]]:
  rows = [
    [name, formats.integer(split['clips']),
     formats.percent(split['accuracy_exact']),
     formats.percent(split['accuracy_deployed']),
     formats.points(split['accuracy_deployed'] - split['accuracy_exact']),
     formats.integer(split['changed_decisions'])]
    for name, split in results['splits'].items()
  ]
  head = ('split', 'clips', 'exact, %', 'deployed, %', 'difference, points',
          'changed decisions')
  parts = [
    _hint(
      'Deployed: every sum passes the accumulator above. Exact: the same'
      ' weights with sums that never overflow. Changed: clips that the two'
      f' classify differently. Measured at step'
      f' {formats.integer(results["step"])}.'
    ),
    elements.table(head, rows, kind='splits'),
    *(_hint(note) for note in results['notes']),
  ]
  return [('accuracy', 'Accuracy', elements.join(parts))]


def _hint(sentence: str) -> Html:
  return elements.tag('p', sentence, class_='hint')


def _curves(run: workdir_lib.Run) -> Html:
  train, validation = run.train, run.validation
  drawn = [
    ('Accuracy', '%', plots.curves('accuracy', [
      ('train', train, 'accuracy'), ('validation', validation, 'accuracy'),
    ], scale=100)),
    ('Loss', 'nats', plots.curves('loss', [
      ('train, total', train, 'loss'),
      ('train, cross entropy', train, 'cross_entropy'),
    ])),
    ('Overflow penalty', 'before its weight', plots.curves('penalty', [
      ('penalty', train, 'penalty'), ('weight', train, 'penalty_weight'),
    ])),
    ('Learning rate', '', plots.curves('rate', [
      ('learning rate', train, 'learning_rate'),
    ])),
    ('Overflow', '% of the sums, mean over layers', plots.curves('overflow', [
      ('persistent overflow', train, 'persistent_rate'),
    ], scale=100, log=True)),
    ('Weight flips', '% of the signs', plots.curves('flips', [
      ('flip ratio', train, 'flip_ratio'),
    ], scale=100, log=True)),
  ]
  figures = [_figure(title, unit, svg) for title, unit, svg in drawn if svg]
  if not figures:
    return _hint('No metrics have been written yet.')
  return elements.tag('div', elements.join(figures), class_='plots')


def _figure(title: str, unit: str, svg: str) -> Html:
  caption = elements.join((title, elements.tag('small', unit)))
  picture = svg.replace('<svg', '<svg role="img"', 1)
  return elements.tag('figure', elements.join(
    (elements.tag('figcaption', caption), Html(picture))
  ))


def _overflow_over_time(run: workdir_lib.Run) -> Html | None:
  svg = plots.overflow_map('map', run.train)
  if svg is None:
    return None
  return elements.join((
    _hint(
      'Share of the exact sums of each layer that lie outside the range that'
      " it has in that step, which is its accumulator's unless a curriculum"
      ' widens it; no colour: none.'
    ),
    elements.tag('div', _figure('', '', svg), class_='wide'),
  ))


def _details(results: Json) -> list[tuple[str, str, str]]:
  """The sections of an evaluation that follow the curves."""
  splits = results['splits']
  overflow = [
    part for name, split in splits.items() if split['overflow']
    for part in (elements.tag('h3', name), _overflow(split['overflow']))
  ]
  explained = _hint(
    'In % of the outputs, decision flips of the bits. Persistent: the exact sum'
    ' is outside the range; transient: it is inside, but a partial sum was'
    ' outside. Sign flip: the'
    ' result has another sign than the exact sum; decision flip: the following'
    ' threshold gives another bit. Magnitude: mean distance of the furthest'
    ' partial sum from the range.'
  )
  confusion = elements.tag('div', elements.join(
    elements.tag('div', elements.join((
      elements.tag('h3', name), _confusion(split, results['class_names']),
    ))) for name, split in splits.items()
  ), class_='pair')
  shading = _hint(
    'Deployed accumulator. Rows: what was said; columns: what was heard. The'
    ' shade grows with the share of the row. Last column: recall in %.'
  )
  return [
    ('overflow', 'Overflow per layer',
     elements.join((explained, *overflow)) if overflow else ''),
    ('confusion', 'Confusion', elements.join((shading, confusion))),
    ('layers', 'Layers', _profile(results['profile'])),
  ]


def _overflow(entries: list[Json]) -> Html:
  head = ('layer', 'bits', 'mode', 'outputs', 'persistent', 'transient',
          'sign flip', 'decision flip', 'magnitude')
  rows = [
    [entry['path'], formats.integer(entry['bits']), entry['overflow_mode'],
     formats.integer(entry['outputs']), *_overflow_cells(entry),
     formats.mean(entry['magnitude'], entry['outputs'])]
    for entry in entries
  ]
  return elements.table(head, rows, kind='layers')


def _overflow_cells(entry: Json) -> list[elements.Cell]:
  shares = [
    (entry[key] or 0) / max(formats.total(entry, key), 1)
    for key in formats.OVERFLOW_COUNTS
  ]
  return [
    elements.Cell(rate, share)
    for rate, share in zip(formats.overflow_rates(entry), shares, strict=True)
  ]


def _confusion(split: Json, names: list[str]) -> Html:
  rows = []
  for i, counts in enumerate(split['confusion']):
    total = sum(counts)
    cells = [
      # The root makes rare confusions visible.
      elements.Cell(str(n) if n else '', (n / total) ** 0.5 if total else 0,
                    'good' if i == j else 'bad')
      for j, n in enumerate(counts)
    ]
    recall = f'{100 * counts[i] / total:.1f}' if total else formats.NOTHING
    rows.append([names[i], *cells, recall])
  return elements.table(('', *names, ''), rows, kind='confusion')


def _profile(profile: Json) -> Html:
  head = ('layer', 'kind', 'output', 'operands', 'parameters', 'memory bits',
          'MACs', 'accumulator bits', 'safe bits')
  rows = [
    [layer['path'], layer['kind'], ' × '.join(map(str, layer['output_shape'])),
     *(formats.integer(layer[key]) for key in (
       'operands', 'parameters', 'memory_bits', 'macs', 'accumulator_bits',
       'safe_bits'))]
    for layer in profile['layers']
  ]
  sums = [
    formats.integer(profile[key])
    for key in ('parameters', 'memory_bits', 'macs')
  ]
  return elements.join((
    _hint(
      'Operands: terms of one sum. Safe bits: the narrowest accumulator that'
      ' cannot overflow on that many.'
    ),
    elements.table(
      head, rows, ('all', '', '', '', *sums, '', ''), texts=2, kind='layers'
    ),
  ))


def _config(config: Json) -> Html:
  return elements.tag('div', elements.tree(config), class_='config')


def _provenance(run: workdir_lib.Run) -> Html:
  pairs: list[tuple[str, str]] = [
    (key.replace('_', ' '), _provenance_value(key, value))
    for key, value in run.provenance.items()
  ]
  speeds = [line['clips_per_second'] for line in run.train
            if 'clips_per_second' in line]
  if speeds:
    median = sorted(speeds)[len(speeds) // 2]
    pairs.append(('clips a second', f'{median:,.0f} (median of training)'))
  if not pairs:
    return _hint('No provenance.json has been written.')
  return elements.facts(pairs)


def _provenance_value(key: str, value: Any) -> Html:
  if key == 'command' and isinstance(value, list):
    return elements.tag('code', shlex.join(map(str, value)))
  if key == 'versions' and isinstance(value, dict):
    return elements.text(', '.join(f'{k} {v}' for k, v in value.items()))
  if key == 'devices' and isinstance(value, list):
    return elements.text(', '.join(map(str, value)))
  if key == 'resumed' and isinstance(value, list):
    return elements.text(', '.join(
      f'{start.get("started")} ({start.get("git_revision")})' for start in value
    ))
  return elements.text(value)


def _attribution(config: Json) -> str:
  data = config.get('data')
  source = data.get('source') if isinstance(data, dict) else None
  return _ATTRIBUTIONS.get(str(source), f'source {source}')
