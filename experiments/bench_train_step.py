"""Whole steps of training of our network, of different accumulators."""

import functools
import os
import statistics
import time
from typing import Any
from unittest import mock

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import optax

from bnn_jax.models import speech_resnet
from bnn_jax.nn import accumulator
from bnn_jax.nn import integer
from bnn_jax.nn.kernels import choice
from bnn_jax.training import losses
from bnn_jax.training import steps
from experiments import bench_machine
from experiments import bench_shapes

SIZE = 'M'
CLASSES = 12
# (op, simd, engine); 'auto' is what the package chooses.
KINDS = (
  ('exact_float32', 64, 'lax'), ('exact', 64, 'auto'), ('wrap', 64, 'auto'),
  ('saturate', 64, 'auto'), ('saturate', 16, 'auto'), ('saturate', 1, 'auto'),
  ('saturate', 64, 'lax'),
)


def measure(rounds: int) -> list[dict[str, Any]]:
  """Rows of the training step.

  Args:
    rounds: runs of each.

  Returns:
    Rows as of `bench_overflow`, with `compile_s`; their `memory_ratio` is that
    of the whole step, and leaves out the same.
  """
  programs = {}
  compile_seconds = {}
  for kind in KINDS:
    *programs[kind], compile_seconds[kind] = compile_step(*kind)
  seconds: dict[Any, list[float]] = {kind: [] for kind in KINDS}
  for round_ in range(rounds + 1):
    for kind, (program, state, batch) in programs.items():
      begin = time.perf_counter()
      jax.block_until_ready(program(state, *batch))
      if round_:
        seconds[kind].append(time.perf_counter() - begin)
  base = statistics.median(seconds[KINDS[0]])
  memory = {
    kind: bench_machine.program_bytes(program)
    for kind, (program, _, _) in programs.items()
  }
  return [
    {
      'op': kind[0], 'simd': kind[1], 'engine': kind[2],
      'shape': f'ours {SIZE}', 'pass': 'train_step',
      'ratio': statistics.median(seconds[kind]) / base,
      'ms': 1e3 * statistics.median(seconds[kind]),
      'compile_s': compile_seconds[kind],
      'memory_ratio': memory[kind] / memory[KINDS[0]],
    }
    for kind in KINDS
  ]


def compile_step(op: str, simd: int, engine: str):
  """A compiled step, its state, its batch and the seconds it took to compile.

  Args:
    op: see `KINDS`.
    simd: of the registers.
    engine: 'auto' or a name.
  """
  lower, state, batch = prepare_step(op, simd, engine, bench_shapes.BATCH)
  begin = time.perf_counter()
  program = compile_lowered(lower())
  return program, state, batch, time.perf_counter() - begin


def compile_lowered(lowered):
  """A lowered step, compiled as training compiles it."""
  options: dict[str, str | bool] = {**steps.compiler_options()}
  return lowered.compile(compiler_options=options)


def prepare_step(
  op: str, simd: int, engine: str, batch_size: int, steps_a_call: int = 1
):
  """A function that lowers a step, its state and its batch.

  Args:
    op: see `KINDS`.
    simd: of the registers.
    engine: 'auto' or a name.
    batch_size: clips of a step.
    steps_a_call: steps of one program, one after the other.
  """
  mode = 'exact' if op == 'exact_float32' else op
  model = _model(accumulator.Accumulator(8, mode, simd))
  batch, variables = _start(batch_size)
  variables = dict(variables)
  params = variables.pop('params')
  variables = {k: v for k, v in variables.items() if k != 'sums'}
  optimizer = optax.adam(1e-3)

  def loss_of(params, variables, q, labels):
    logits, changed = model.apply(
      variables | {'params': params}, q, train=True, progress=0.5,
      mutable=['batch_stats', 'sums'],
    )
    loss = losses.cross_entropy(logits, labels, 0.0).mean()
    rates = losses.persistent_rates(losses.by_layer(changed['sums']))
    return loss, (changed['batch_stats'], rates)

  def step(state, q, labels):
    params, variables, opt_state = state
    (loss, (statistics_, rates)), gradients = jax.value_and_grad(
      loss_of, has_aux=True
    )(params, variables, q, labels)
    updates, opt_state = optimizer.update(gradients, opt_state, params)
    params = optax.apply_updates(params, updates)
    variables = variables | {'batch_stats': statistics_}
    return (params, variables, opt_state), loss, rates

  state = params, variables, optimizer.init(params)
  def several(state, q, labels):
    def body(state, _):
      return step(state, q, labels)[0], None

    return lax.scan(body, state, length=steps_a_call)[0]

  def lower():
    with mock.patch.dict(os.environ):
      os.environ.pop(choice.VARIABLE, None)
      if engine != 'auto':
        os.environ[choice.VARIABLE] = engine
      run = step if steps_a_call == 1 else several
      return jax.jit(run).lower(state, *batch)

  return lower, state, batch


def _model(register):
  return speech_resnet.build(
    SIZE, 'overflow', CLASSES, accumulator=register,
    stream=integer.StreamFormat(), levels=bench_shapes.LEVELS,
    norm_variant='fused', weight_gradient='hard_tanh',
    activation_gradient='approx_sign',
  )


@functools.cache
def _start(batch_size: int):
  """A batch and the network's first variables, whatever its accumulator."""
  random = np.random.default_rng(0)
  size = batch_size, bench_shapes.FRAMES, bench_shapes.BINS
  batch = (
    jnp.asarray(random.integers(0, 256, size), jnp.uint8),
    jnp.asarray(random.integers(0, CLASSES, size[0])),
  )
  model = _model(accumulator.Accumulator())
  init = jax.jit(functools.partial(model.init, train=True))
  return batch, init(jax.random.key(0), batch[0])
