"""What a user sees of a training while it runs."""

from collections.abc import Mapping
import types

import rich.console
import rich.progress


class Progress:
  """A progress bar on a terminal, and a line now and then elsewhere.

  A context manager.

  Attributes:
    console: where it writes.
  """

  def __init__(self, console: rich.console.Console, total: int, start: int):
    self.console = console
    self._bar = rich.progress.Progress(
      rich.progress.TextColumn('step {task.completed:.0f}/{task.total:.0f}'),
      rich.progress.BarColumn(bar_width=None),
      rich.progress.TextColumn('{task.fields[text]}'),
      rich.progress.TimeRemainingColumn(),
      console=console,
      disable=not console.is_terminal,
    )
    self._task = self._bar.add_task('', total=total, completed=start, text='')
    self._total = total

  def __enter__(self) -> 'Progress':
    self._bar.start()
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    error: BaseException | None,
    trace: types.TracebackType | None,
  ) -> None:
    self._bar.stop()

  def step(self, step: int) -> None:
    """Moves the bar to `step`."""
    self._bar.update(self._task, completed=step)

  def metrics(self, values: Mapping[str, float]) -> None:
    """Shows the metrics of the last steps."""
    self._bar.update(
      self._task,
      text=(
        f'loss {values["loss"]:.3f} · accuracy {values["accuracy"]:.1%} · '
        f'overflow {values["persistent_rate"]:.2%} · '
        f'{values["clips_per_second"]:.0f} clips/s'
      ),
    )

  def validation(
    self, step: int, epoch: float, accuracy: float, train: Mapping[str, float]
  ) -> None:
    """Writes a line that stays."""
    self.console.print(
      f'step {step}/{self._total} · epoch {epoch:.1f} · '
      f'loss {train["loss"]:.3f} · '
      f'training accuracy {train["accuracy"]:.1%} · '
      f'validation accuracy {accuracy:.1%} · '
      f'overflow {train["persistent_rate"]:.2%} · '
      f'{train["clips_per_second"]:.0f} clips/s',
      highlight=False,
    )
