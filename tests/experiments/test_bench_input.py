import json

import pytest

from bnn_jax import errors
from experiments import bench_input


def test_both_speeds_and_their_ratio(speech, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(bench_input, 'ROUNDS', 1)
  monkeypatch.setattr(bench_input, 'BATCHES', 1)
  path = tmp_path / 'input.json'
  options = f'smoke,data=folder,data_dir={speech}'
  get_config = bench_input.plan.config

  def small(*args):
    made = get_config(*args).unlock()
    made.training.batch_size = 6
    return made.lock()

  monkeypatch.setattr(bench_input.plan, 'config', small)
  bench_input.main([options, '--json', str(path)])
  found = json.loads(path.read_text())
  read, trained = (
    found[f'{what}_clips_per_second'] for what in ('input', 'training')
  )
  assert found['ratio'] == read / trained > 0
  assert found['source'] == 'folder'
  printed = capsys.readouterr().out.splitlines()
  assert [line.split()[0] for line in printed[-3:]] \
    == ['input', 'training', 'ratio']
  assert printed[-1] == f'ratio            {found["ratio"]:9.2f}'


@pytest.mark.parametrize('options, message', [
  ('data=foo', 'choose one of synthetic'),
  ('data=folder,data_dir=/nope', '/nope .data.data_dir. is not a folder'),
])
def test_bad_input(options, message):
  with pytest.raises(errors.UserError, match=message):
    bench_input.main([options])
