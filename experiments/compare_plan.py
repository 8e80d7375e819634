"""From methods to trainings, and from these to each method's best recipe.

The float network of a method is trained by its own recipe and by ours, each at
the same rates; what is best on 'dev' is trained again, on all of training, and
judged. Where both recipes are one, as those of the binary networks are, there
is one candidate a rate.
"""

from collections.abc import Sequence
import dataclasses
import pathlib
from typing import Any

import ml_collections

from experiments import compare_methods
from experiments import plan
from experiments import records

# Factors of the learning rates; --tuning takes so many of them, in this order.
RATES = (1.0, 0.5, 2.0, 0.25, 4.0)
# Branches of the configuration that make a recipe.
_RECIPE = ('optimizer', 'augmentation', 'training')
_LEARNING_RATES = ('learning_rate', 'latent_learning_rate')


@dataclasses.dataclass(frozen=True)
class Unit:
  """A network that is compared.

  Attributes:
    method: whose.
    size: of it.
    variant: of it.
  """

  method: compare_methods.Method
  size: str
  variant: str

  @property
  def key(self) -> tuple[str, str, str]:
    """By which rows are found."""
    return self.method.name, self.size, self.variant

  @property
  def name(self) -> str:
    """The key as one word."""
    return '-'.join(self.key)

  @property
  def options(self) -> str:
    """Of its configuration."""
    return f'size={self.size},{self.method.variants[self.variant]}'


@dataclasses.dataclass(frozen=True)
class Plan:
  """How all units are trained.

  Attributes:
    results: the folder of the results.
    options: of the configuration, for all; they hold the budget.
    budget: epochs of every training.
    rates: factors of the learning rates that are tried.
    seeds: of what is judged.
  """

  results: pathlib.Path
  options: str
  budget: int
  rates: Sequence[float]
  seeds: int

  def _run(self, setting: plan.Setting, seed: int, judge: bool) -> plan.Run:
    return plan.run(
      f'compare{self.budget}', setting, seed, results=self.results,
      options=self.options, judge=judge,
    )

  def choosing(self, unit: Unit) -> list[plan.Run]:
    """The candidates as trainings on 'fit', judged by 'dev'."""
    return [
      self._run(setting, 0, False) for setting in self._candidates(unit)
    ]

  def is_known(self, unit: Unit, book: records.Book) -> bool:
    """Whether any of its trainings has ended well."""
    runs = self.choosing(unit) + (self.judging(unit, book) or [])
    return _ended(runs, book) > 0

  def judging(
    self, unit: Unit, book: records.Book
  ) -> list[plan.Run] | None:
    """The best candidate as trainings, a seed each; None while not chosen."""
    candidates = self._candidates(unit)
    setting = candidates[0]
    if len(candidates) > 1:
      best = _best(self.choosing(unit), book)
      if best is None:
        return None
      setting = next(c for c in candidates if c.name == best.setting)
    return [self._run(setting, seed, True) for seed in range(self.seeds)]

  def as_judged(self, unit: Unit, book: records.Book) -> 'Plan':
    """The same with as many rates as the judged network was chosen from.

    Calls may have tried more rates of one network than of another. Of those
    that were judged the one with the most seeds counts, then the one with the
    most rates: to try more never takes seeds from a row. What has not been
    judged by any number of rates keeps those of this plan.
    """
    found, most = self, 0
    for count in range(1, len(RATES) + 1):
      last = dataclasses.replace(self, rates=RATES[count - 1:count])
      if count > 1 and not _accuracies(last.choosing(unit), book):
        continue
      tried = dataclasses.replace(self, rates=RATES[:count])
      seeds = _ended(tried.judging(unit, book) or [], book)
      if seeds and seeds >= most:
        found, most = tried, seeds
    return found

  def data(self) -> dict[str, Any]:
    """The branch `data` of all configurations."""
    return plan.config(plan.CONFIG, self.options).data.to_dict()

  def config(self, unit: Unit) -> ml_collections.ConfigDict:
    """The unit's configuration by its own recipe."""
    return plan.config(unit.method.file, self.options, unit.options)

  def _candidates(self, unit: Unit) -> list[plan.Setting]:
    own = self.config(unit)
    ours = plan.config(plan.CONFIG, self.options)
    recipes: dict[str, dict[str, Any]] = {'ours': _changes(own, ours)}
    if recipes['ours']:
      recipes = {'own': {}} | recipes
    return [
      plan.Setting(
        f'{unit.name}-{recipe}-x{rate:g}', unit.options,
        changes | _rates(own, changes, rate), unit.method.file,
      )
      for rate in self.rates for recipe, changes in recipes.items()
    ]


def units(which: str) -> list[Unit]:
  """All networks of the sizes 'small', 'large' or 'all'."""
  return [
    Unit(method, size, variant)
    for method in compare_methods.METHODS for size in method.sizes(which)
    for variant in method.variants
  ]


def reference() -> Unit:
  """Whose accuracy tells whether another network is undertrained."""
  return next(
    unit for unit in units('all') if unit.key == compare_methods.REFERENCE
  )


def _changes(own, ours) -> dict[str, Any]:
  """What makes our recipe of another one."""
  return {
    f'{branch}.{key}': value
    for branch in _RECIPE for key, value in ours[branch].items()
    if own[branch][key] != value
  }


def _rates(own, changes, rate: float) -> dict[str, float]:
  """Learning rates times a factor."""
  if rate == 1.0:
    return {}
  keys = [f'optimizer.{name}' for name in _LEARNING_RATES]
  return {
    key: rate * changes.get(key, own.optimizer[key.partition('.')[2]])
    for key in keys
  }


def _best(
  candidates: Sequence[plan.Run], book: records.Book
) -> plan.Run | None:
  """What 'dev' says most for, the first of equals; None before any ended."""
  accuracies = _accuracies(candidates, book)
  if not accuracies:
    return None
  best = max(accuracies, key=lambda i: accuracies[i])
  return candidates[best]


def _accuracies(
  candidates: Sequence[plan.Run], book: records.Book
) -> dict[int, float]:
  """By 'dev', of those candidates that ended well, by their places."""
  return {
    i: outcome['splits']['dev']['accuracy_deployed']
    for i, run in enumerate(candidates)
    if (outcome := book.outcome(run.digest)) is not None
  }


def _ended(runs: Sequence[plan.Run], book: records.Book) -> int:
  return sum(book.outcome(run.digest) is not None for run in runs)
