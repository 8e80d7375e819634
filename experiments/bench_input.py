"""Clips a second that the input gives and that training takes.

  python -m experiments.bench_input data=folder,data_dir=PATH --json FILE

The argument is the string of options of configs/kws.py, by default none. The
pipeline runs alone, then the training step on one batch that it gave. Input
three times as fast leaves the step at least three quarters of cores that both
share.
"""

import argparse
import contextlib
import pathlib
import statistics
import time

import jax

from bnn_jax.data import pipeline
from bnn_jax.nn.kernels import choice
from bnn_jax.training import inputs
from bnn_jax.training import setup
from bnn_jax.training import state as state_lib
from bnn_jax.training import steps as steps_lib
from experiments import bench_machine
from experiments import plan
from experiments import program

# A round is so many batches; the first one is not counted.
ROUNDS, BATCHES = 5, 20


def main(arguments: list[str]) -> None:
  """Prints both speeds and their ratio.

  Args:
    arguments: of the command line.
  """
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('options', nargs='?', default='')
  parser.add_argument('--json', type=pathlib.Path, help='file to write')
  args = parser.parse_args(arguments)
  config = plan.config(plan.CONFIG, args.options)
  source = setup.open_split(config, 'training')
  print(f'{len(source)} clips, {choice.describe()}', flush=True)
  batches = pipeline.train_iterator(
    source, batch_size=config.training.batch_size, seed=config.seed,
    augmentation=setup.augmentations(config),
  )
  with contextlib.closing(batches):
    batch = next(batches)
    read = clips_per_second(lambda: next(batches), len(batch['label']))
  trained = clips_per_second(
    training_step(config, source, batch), len(batch['label'])
  )
  print(f'input alone      {read:9,.0f} clips/s')
  print(f'training step    {trained:9,.0f} clips/s')
  print(f'ratio            {read / trained:9.2f}')
  if args.json:
    bench_machine.write(args.json, {
      'machine': bench_machine.machine(), 'source': config.data.source,
      'size': config.model.size, 'clips': len(source),
      'input_clips_per_second': read,
      'training_clips_per_second': trained, 'ratio': read / trained,
    })


def clips_per_second(run, clips: int) -> float:
  """The median over rounds.

  Args:
    run: handles one batch.
    clips: of a batch.
  """
  rates = []
  for _ in range(ROUNDS + 1):
    begin = time.perf_counter()
    for _ in range(BATCHES):
      run()
    rates.append(BATCHES * clips / (time.perf_counter() - begin))
  return statistics.median(rates[1:])


def training_step(config, source, batch):
  """A function that trains on one batch, transfer included, and waits."""
  model = setup.model(config)
  steps = 1000
  optimizer = setup.optimizer(config, steps)
  state = state_lib.create(
    model, optimizer, seed=config.seed, **setup.input_shape(config)
  )
  fitted = inputs.fit(
    source, front_end=setup.front_end(config), clips=len(batch['label']),
    bits=config.model.input_bits, fitted=state.inputs,
  )
  step = jax.jit(
    setup.train_step(config, model, steps),
    compiler_options=steps_lib.compiler_options(),
  )
  held = [state.replace(inputs=fitted)]

  def run():
    held[0], _ = jax.block_until_ready(step(held[0], batch))

  return run


if __name__ == '__main__':
  program.run(main)
