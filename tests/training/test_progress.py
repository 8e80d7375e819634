import io

import rich.console

from bnn_jax.training import progress

TRAIN = {'loss': 1.25, 'accuracy': 0.5, 'persistent_rate': 0.125,
         'clips_per_second': 70.4}


def test_lines_where_there_is_no_terminal():
  stream = io.StringIO()
  console = rich.console.Console(file=stream, soft_wrap=True)
  with progress.Progress(console, total=40, start=10) as shown:
    shown.step(20)
    shown.metrics(TRAIN)
    shown.validation(20, 2.0, 0.75, TRAIN)
  assert stream.getvalue() == (
    'step 20/40 · epoch 2.0 · loss 1.250 · training accuracy 50.0% · '
    'validation accuracy 75.0% · overflow 12.50% · 70 clips/s\n'
  )
