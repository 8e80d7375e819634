"""Which file may import what, read from the sources."""

import ast
import dataclasses
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = ('bnn_jax', 'configs', 'experiments', 'tests')
FLAGS = ('absl.app', 'absl.flags', 'ml_collections.config_flags')


@dataclasses.dataclass(frozen=True)
class Rule:
  """What the files whose path begins with `files` may import.

  Attributes:
    files: The beginning of a path from the root of the repository.
    but: Files that the rule leaves out.
    project: The only modules of the project allowed; None allows all.
    packages: The only third-party packages allowed; None allows all.
    never: Modules that no line may import.
    never_at_load: Modules that only the body of a function may import.
  """

  files: str
  but: tuple[str, ...] = ()
  project: tuple[str, ...] | None = None
  packages: tuple[str, ...] | None = None
  never: tuple[str, ...] = ()
  never_at_load: tuple[str, ...] = ()


RULES = {
    'configs are data': Rule(
        'configs/', project=('configs',),
        packages=('ml_collections',),
        never=('ml_collections.config_flags',)),
    'the package stands alone': Rule(
        'bnn_jax/', never=('configs', 'experiments', 'tests')),
    'main alone reads flags': Rule(
        'bnn_jax/', but=('bnn_jax/main.py', 'bnn_jax/command_line.py'),
        never=FLAGS),
    'nn is the lowest layer': Rule(
        'bnn_jax/nn/', project=('bnn_jax.nn', 'bnn_jax.errors')),
    'models know nn': Rule(
        'bnn_jax/models/',
        project=('bnn_jax.models', 'bnn_jax.nn', 'bnn_jax.errors')),
    'data know no model': Rule(
        'bnn_jax/data/', project=('bnn_jax.data', 'bnn_jax.errors')),
    'features know no model': Rule(
        'bnn_jax/features.py', project=('bnn_jax.errors',)),
    'the front end in integers knows no model': Rule(
        'bnn_jax/frontend/', but=('bnn_jax/frontend/fixed_point.py',),
        project=('bnn_jax.frontend', 'bnn_jax.features', 'bnn_jax.errors')),
    'a microcontroller could run it': Rule(
        'bnn_jax/frontend/fixed_point.py', project=('bnn_jax.errors',),
        packages=('numpy',)),
    'training joins the layers': Rule(
        'bnn_jax/training/',
        project=('bnn_jax.training', 'bnn_jax.models', 'bnn_jax.nn',
                 'bnn_jax.data', 'bnn_jax.features', 'bnn_jax.errors')),
    'export knows models': Rule(
        'bnn_jax/export/', but=('bnn_jax/export/golden.py',),
        project=('bnn_jax.export', 'bnn_jax.models', 'bnn_jax.nn',
                 'bnn_jax.errors')),
    'the golden model stands alone': Rule(
        'bnn_jax/export/golden.py', project=(), packages=('numpy',)),
    'the integer path reads an export alone': Rule(
        'bnn_jax/export/integer.py', project=('bnn_jax.export.specs',)),
    'the accelerator reads an export': Rule(
        'bnn_jax/accelerator/',
        project=('bnn_jax.accelerator', 'bnn_jax.export.specs',
                 'bnn_jax.export.check', 'bnn_jax.export.files',
                 'bnn_jax.export.golden', 'bnn_jax.errors'),
        packages=('numpy',)),
    'nothing below imports jobs': Rule(
        'bnn_jax/', but=('bnn_jax/main.py', 'bnn_jax/jobs/__init__.py',
                         'bnn_jax/jobs/c_front_end.py',
                         'bnn_jax/jobs/c_sources.py',
                         'bnn_jax/jobs/calibrate.py', 'bnn_jax/jobs/export.py',
                         'bnn_jax/jobs/layerwise.py',
                         'bnn_jax/jobs/listen.py', 'bnn_jax/jobs/rtl.py',
                         'bnn_jax/jobs/settings.py', 'bnn_jax/jobs/spotter.py',
                         'bnn_jax/jobs/verify.py'),
        never=('bnn_jax.jobs',)),
    'the report reads files': Rule(
        'bnn_jax/report/', project=('bnn_jax.report', 'bnn_jax.errors'),
        packages=('matplotlib', 'rich', 'numpy')),
    'tensorflow is optional': Rule(
        '', never_at_load=('tensorflow',)),
}

# A file and a snippet that its rule must catch.
VIOLATIONS = [
    ('configs are data', 'configs/kws.py', 'import jax'),
    ('configs are data', 'configs/kws.py', 'from bnn_jax import models'),
    ('configs are data', 'configs/kws.py',
     'from ml_collections import config_flags'),
    ('the package stands alone', 'bnn_jax/report.py',
     'from configs import kws'),
    ('the package stands alone', 'bnn_jax/main.py',
     'def f():\n  import experiments.sweep'),
    ('main alone reads flags', 'bnn_jax/training/loop.py',
     'from absl import flags'),
    ('main alone reads flags', 'bnn_jax/report.py',
     'from absl import logging, app'),
    ('nn is the lowest layer', 'bnn_jax/nn/layers.py',
     'from bnn_jax.models import kws'),
    ('the front end in integers knows no model', 'bnn_jax/frontend/tables.py',
     'from bnn_jax.nn import integer'),
    ('a microcontroller could run it', 'bnn_jax/frontend/fixed_point.py',
     'import jax'),
    ('nn is the lowest layer', 'bnn_jax/nn/layers.py',
     'from .. import features'),
    ('models know nn', 'bnn_jax/models/kws.py',
     'import bnn_jax.features as features'),
    ('models know nn', 'bnn_jax/models/kws.py', 'from ..data import wav'),
    ('data know no model', 'bnn_jax/data/wav.py',
     'from bnn_jax import features'),
    ('features know no model', 'bnn_jax/features.py',
     'from .nn import layers'),
    ('training joins the layers', 'bnn_jax/training/loop.py',
     'from bnn_jax import main'),
    ('export knows models', 'bnn_jax/export/trace.py',
     'from bnn_jax.training import state'),
    ('the golden model stands alone', 'bnn_jax/export/golden.py',
     'from bnn_jax.export import specs'),
    ('the golden model stands alone', 'bnn_jax/export/golden.py',
     'def f():\n  import jax'),
    ('the integer path reads an export alone', 'bnn_jax/export/integer.py',
     'from bnn_jax.nn import layers'),
    ('the accelerator reads an export', 'bnn_jax/accelerator/memories.py',
     'from bnn_jax.export import trace'),
    ('the accelerator reads an export', 'bnn_jax/accelerator/plan.py',
     'from bnn_jax.nn import integer'),
    ('nothing below imports jobs', 'bnn_jax/training/loop.py',
     'from bnn_jax.jobs import export'),
    ('the report reads files', 'bnn_jax/report/html.py',
     'from bnn_jax.training import workdir'),
    ('the report reads files', 'bnn_jax/report/plots.py', 'import jax'),
    ('tensorflow is optional', 'bnn_jax/data/tfds.py',
     'try:\n  import tensorflow as tf\nfinally:\n  pass'),
    ('tensorflow is optional', 'experiments/sweep.py',
     'class A:\n  from tensorflow import data'),
]

PERMITTED = [
    ('configs are data', 'configs/baselines/bnn.py',
     'import re\nimport ml_collections\nfrom configs import parse\n'
     'from .. import kws'),
    ('main alone reads flags', 'bnn_jax/main.py', 'from absl import flags'),
    ('main alone reads flags', 'bnn_jax/report.py',
     'from absl import logging\nimport absl.logging'),
    ('nn is the lowest layer', 'bnn_jax/nn/layers.py',
     'import jax\nfrom . import binarize\nfrom bnn_jax import errors'),
    ('tensorflow is optional', 'bnn_jax/data/tfds.py',
     'import tensorflow_datasets\ndef f():\n  import tensorflow'),
]


def is_within(module: str, names: tuple[str, ...]) -> bool:
  return any(module == n or module.startswith(n + '.') for n in names)


def base_of(node: ast.ImportFrom, path: pathlib.PurePath) -> str:
  """The module that `from ... import` reads, with its dots resolved."""
  if not node.level:
    return node.module or ''
  package = path.parts[:-node.level]
  return '.'.join((*package, *filter(None, (node.module,))))


def modules_of(node: ast.AST, path: pathlib.PurePath) -> list[str]:
  """The full names that one statement imports."""
  if isinstance(node, ast.Import):
    return [alias.name for alias in node.names]
  if isinstance(node, ast.ImportFrom):
    base = base_of(node, path)
    return [f'{base}.{alias.name}' for alias in node.names]
  return []


def at_load(tree: ast.AST) -> list[ast.AST]:
  """The nodes that run as the module is loaded: none of a function's."""
  found = []
  for node in ast.iter_child_nodes(tree):
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
      found += [node, *at_load(node)]
  return found


def is_allowed(rule: Rule, module: str) -> bool:
  if is_within(module, rule.never):
    return False
  if is_within(module, PROJECT):
    return rule.project is None or is_within(module, rule.project)
  if module.split('.')[0] in sys.stdlib_module_names:
    return True
  return rule.packages is None or is_within(module, rule.packages)


def violations(
    rule: Rule, path: pathlib.PurePath, source: str) -> list[str]:
  """Names the modules which `source`, at `path`, imports against `rule`."""
  tree = ast.parse(source, str(path))
  found = [m for node in ast.walk(tree) for m in modules_of(node, path)
           if not is_allowed(rule, m)]
  found += [m for node in at_load(tree) for m in modules_of(node, path)
            if is_within(m, rule.never_at_load)]
  return found


def files_of(rule: Rule) -> list[pathlib.PurePath]:
  """The files that a rule binds, from the root of the repository."""
  paths = [p.relative_to(ROOT) for folder in PROJECT
           for p in sorted((ROOT / folder).rglob('*.py'))]
  return [p for p in paths if p.as_posix().startswith(rule.files)
          and p.as_posix() not in rule.but]


@pytest.mark.parametrize('name', RULES)
def test_imports(name):
  rule = RULES[name]
  paths = files_of(rule)
  assert paths, f'no file begins with {rule.files}'
  found = {str(path): violations(rule, path, (ROOT / path).read_text())
           for path in paths}
  assert not {path: modules for path, modules in found.items() if modules}


@pytest.mark.parametrize('name, path, source', VIOLATIONS)
def test_violation_is_caught(name, path, source):
  assert len(violations(RULES[name], pathlib.PurePath(path), source)) == 1


@pytest.mark.parametrize('name, path, source', PERMITTED)
def test_permitted_import_passes(name, path, source):
  rule = RULES[name]
  is_bound = path not in rule.but
  assert not is_bound or violations(rule, pathlib.PurePath(path), source) == []


def test_each_rule_has_a_violation():
  assert {name for name, _, _ in VIOLATIONS} == set(RULES)


def test_no_module_is_named_utils():
  found = [*ROOT.glob('bnn_jax/**/utils.py'), *ROOT.glob('tests/**/utils.py')]
  assert found == []
