"""What does a teacher buy, and how much should it say?

Train one on the same clips first, and give its workdir:

  python -m bnn_jax.main --workdir=runs/teacher \
    --config=configs/kws.py:variant=float,data=folder,data_dir=PATH \
    --config.data.training_split=fit
  python -m experiments.sweep experiments/ablation_distillation.py \
    --data=folder --data_dir=PATH --options=teacher=runs/teacher --results DIR
"""

REQUIRES = ('teacher',)


def sweep(add):
  """Adds the settings: no teacher, each weight, each temperature."""
  add('default')
  add('no_teacher', overrides={'distillation.teacher': ''})
  for weight in (0.25, 0.5, 0.75, 1.0):
    add(f'weight_{weight:g}', overrides={'distillation.weight': weight})
  for temperature in (1.0, 2.0, 4.0, 8.0):
    add(f'temperature_{temperature:g}', overrides={
      'distillation.temperature': temperature,
    })
