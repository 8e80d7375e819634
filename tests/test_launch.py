"""launch.sh with stubs for whatever would install or submit something."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
# Its sources are compiled by the installation.
KERNELS = 'bnn_jax/nn/kernels'
TOOLS = ('bash', 'cat', 'cp', 'dirname', 'env', 'flock', 'id', 'mkdir', 'mv',
         'rm', 'sha256sum', 'sleep')
TARGETS = ('cpu', 'gpu', 'tpu', 'multi-host', 'slurm', 'test', 'rtl-tools')
ECHO = 'import json, sys; print(json.dumps(sys.argv[1:]))'
AWKWARD = ['two words', '', '*', '$HOME', "it's", 'a\nb', '--k="v w"']

# `-m venv` copies the stub into the environment; pip, ruff, mypy and pytest
# leave a line in the log, and fail where FAILING names them.
PYTHON = '''#!/bin/bash
case "$1 $2" in
  '-m venv')
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    ;;
  '-m pip' | '-m ruff' | '-m mypy' | '-m pytest')
    [[ "$2" != pip ]] || sleep 0.2
    printf '%s\\n' "$*" >> "$LOG"
    [[ " ${{FAILING:-}} " != *" $2 "* ]]
    ;;
  *) exec "{python}" "$@" ;;
esac
'''

# Knows no package until it was updated, as on a fresh machine.
APT_GET = '''#!/bin/bash
printf 'apt-get %s\\n' "$*" >> "$LOG"
case "$1" in
  update) : > "$LOG.updated" ;;
  install) [[ -e "$LOG.updated" ]] && : > "$LOG.apt" ;;
esac
'''


class Launcher:
  """A copy of launch.sh whose PATH holds its tools and the stubs only."""

  def __init__(self, folder: pathlib.Path):
    self.root = folder / 'a checkout'
    self.bin = folder / 'bin'
    self.log = folder / 'log'
    self.root.mkdir()
    self.bin.mkdir()
    self.log.touch()
    (self.root / KERNELS).mkdir(parents=True)
    for name in ('launch.sh', 'setup.cfg', 'setup.py', 'pyproject.toml',
                 'constraints.txt', f'{KERNELS}/overflow.h'):
      shutil.copy(ROOT / name, self.root / name)
    for name in TOOLS:
      (self.bin / name).symlink_to(str(shutil.which(name)))
    self.stub('python3', PYTHON.format(python=sys.executable))

  def stub(self, name: str, text: str) -> None:
    path = self.bin / name
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(0o755)

  def start(self, *arguments: str, **variables: str) -> subprocess.Popen:
    environment = {'PATH': str(self.bin), 'LOG': str(self.log), **variables}
    return subprocess.Popen(
        [self.root / 'launch.sh', *arguments], env=environment, cwd='/',
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True)

  def run(self, *arguments: str, **variables: str):
    """Returns (exit status, standard output, standard error)."""
    process = self.start(*arguments, **variables)
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err

  def logged(self) -> list[str]:
    return self.log.read_text().splitlines()

  def change_constraints(self) -> None:
    with open(self.root / 'constraints.txt', 'a') as f:
      f.write('# A change.\n')


@pytest.fixture(name='launcher')
def _launcher(tmp_path):
  return Launcher(tmp_path)


def assert_one_sentence(result, *words: str) -> None:
  status, out, err = result
  assert status == 1
  assert out == ''
  assert err.startswith('launch.sh: ')
  assert err.endswith('.\n')
  assert err.count('\n') == 1
  for word in words:
    assert word in err


def test_help_lists_the_targets(launcher):
  status, out, err = launcher.run('--help')
  assert (status, err) == (0, '')
  for target in TARGETS:
    assert f'\n  {target} ' in out
  assert not (launcher.root / '.venv').exists()


def test_no_target_fails_with_the_help(launcher):
  status, out, err = launcher.run()
  assert (status, out) == (1, '')
  assert err.startswith('usage: ')


def test_unknown_target(launcher):
  assert_one_sentence(launcher.run('quantum'), "'quantum'", *TARGETS)


def test_arguments_arrive_untouched(launcher):
  status, out, err = launcher.run('cpu', '-c', ECHO, *AWKWARD)
  assert status == 0
  assert json.loads(out) == AWKWARD
  assert 'launch.sh: running ' in err


def test_python_runs_in_the_repository_on_the_cpu(launcher):
  code = 'import os; print(os.getcwd(), os.environ["JAX_PLATFORMS"])'
  assert launcher.run('cpu', '-c', code)[1] == f'{launcher.root} cpu\n'


def test_exit_status_is_that_of_python(launcher):
  assert launcher.run('cpu', '-c', 'raise SystemExit(7)')[0] == 7


def test_installs_again_only_after_a_change(launcher):
  wanted = '-c constraints.txt -e .'
  for _ in range(2):
    launcher.run('cpu', '-c', '')
  assert len(launcher.logged()) == 1
  assert launcher.logged()[0].endswith(wanted)
  launcher.change_constraints()
  launcher.run('cpu', '-c', '')
  assert len(launcher.logged()) == 2


def test_failed_install_is_tried_again(launcher):
  status, _, err = launcher.run('cpu', '-c', '', FAILING='pip')
  assert status == 1
  assert 'pip could not install' in err
  assert launcher.run('cpu', '-c', '')[0] == 0
  assert len(launcher.logged()) == 2


def test_failed_change_leaves_no_stamp_of_before(launcher):
  pins = launcher.root / 'constraints.txt'
  before = pins.read_text()
  launcher.run('cpu', '-c', '')
  launcher.change_constraints()
  launcher.run('cpu', '-c', '', FAILING='pip')
  pins.write_text(before)
  launcher.run('cpu', '-c', '')
  assert len(launcher.logged()) == 3


def test_changed_kernel_is_compiled_again(launcher):
  launcher.run('cpu', '-c', '')
  source = launcher.root / KERNELS / 'overflow.h'
  source.write_text(source.read_text() + '/* changed */')
  launcher.run('cpu', '-c', '')
  assert len(launcher.logged()) == 2


def test_two_launches_at_once_install_once(launcher):
  both = [launcher.start('cpu', '-c', ECHO, str(i)) for i in range(2)]
  outs = [process.communicate(timeout=30)[0] for process in both]
  assert [json.loads(out) for out in outs] == [['0'], ['1']]
  assert len(launcher.logged()) == 1


def test_old_python(launcher):
  launcher.stub('python3', '#!/bin/bash\necho 3.9\nexit 1\n')
  assert_one_sentence(launcher.run('cpu'), '3.11', '3.9', 'PYTHON')


def test_absent_python(launcher):
  result = launcher.run('cpu', PYTHON='python3.99')
  assert_one_sentence(result, 'python3.99', '3.11')


def without_ensurepip(launcher):
  python = PYTHON.format(python=sys.executable)
  launcher.stub('python3', python.replace(
      'case', '[[ "$2" != *ensurepip* || -e "$LOG.apt" ]] || exit 1\ncase', 1))


def test_absent_venv_module_is_named_to_a_user(launcher):
  without_ensurepip(launcher)
  launcher.stub('id', '#!/bin/bash\necho 1000\n')
  assert_one_sentence(launcher.run('cpu'), 'python3-venv')


def test_absent_venv_module_is_installed_by_root(launcher):
  without_ensurepip(launcher)
  launcher.stub('id', '#!/bin/bash\necho 0\n')
  launcher.stub('apt-get', APT_GET)
  assert launcher.run('cpu', '-c', '')[0] == 0
  assert launcher.logged()[:3] == [
      'apt-get install -y python3-venv', 'apt-get update',
      'apt-get install -y python3-venv']


def test_gpu_without_a_gpu(launcher):
  assert_one_sentence(launcher.run('gpu'), 'nvidia-smi')
  assert launcher.logged() == []


def test_gpu(launcher):
  launcher.stub('nvidia-smi', '#!/bin/bash\n')
  code = 'import os; print(os.environ["JAX_PLATFORMS"])'
  assert launcher.run('gpu', '-c', code)[1] == 'cuda,cpu\n'
  assert launcher.logged()[0].endswith('-e .[gpu]')


PROCESSES = {'BNN_DEVICE': 'cpu', 'JAX_COORDINATOR_ADDRESS': 'node0:1234',
             'JAX_NUM_PROCESSES': '2', 'JAX_PROCESS_ID': '1'}
SHOW = ('import os; print(*[os.environ["JAX_" + k] for k in '
        '("COORDINATOR_ADDRESS", "NUM_PROCESSES", "PROCESS_ID")])')


def test_multi_host_hands_the_processes_on(launcher):
  _, out, _ = launcher.run('multi-host', '-c', SHOW, **PROCESSES)
  assert out == 'node0:1234 2 1\n'


@pytest.mark.parametrize('name, value', [
    ('JAX_COORDINATOR_ADDRESS', ''),
    ('JAX_COORDINATOR_ADDRESS', 'node0'),
    ('JAX_NUM_PROCESSES', '0'),
    ('JAX_NUM_PROCESSES', 'two'),
    ('JAX_PROCESS_ID', '2'),
    ('JAX_PROCESS_ID', '-1'),
    ('JAX_PROCESS_ID', ''),
])
def test_multi_host_names_the_bad_variable(launcher, name, value):
  result = launcher.run('multi-host', '-c', SHOW, **{**PROCESSES, name: value})
  assert_one_sentence(result, f"{name} is '{value}'")


def test_multi_host_reads_a_slurm_job(launcher):
  launcher.stub('scontrol', '#!/bin/bash\nprintf "%s-a\\n%s-b\\n" $3 $3\n')
  _, out, _ = launcher.run(
      'multi-host', '-c', SHOW, BNN_DEVICE='cpu', SLURM_PROCID='3',
      SLURM_NTASKS='4', SLURM_JOB_ID='1230042', SLURM_JOB_NODELIST='node')
  assert out == 'node-a:20042 4 3\n'


def test_slurm_without_sbatch(launcher):
  assert_one_sentence(launcher.run('slurm'), 'sbatch')


def test_slurm_submits_the_multi_host_launch(launcher):
  launcher.stub('sbatch', '#!/bin/bash\nprintf "%s\\n" "$@"\ncat\n')
  status, out, err = launcher.run(
      'slurm', '-c', ECHO, *AWKWARD, BNN_DEVICE='cpu', BNN_NODES='4')
  options, script = out.split('#!/bin/bash\n')
  assert status == 0
  assert options.split() == ['--nodes=4', '--ntasks-per-node=1']
  assert script in err
  # The words of the job, as the shell on the node will see them.
  launcher.stub('srun', '#!/bin/bash\nprintf "%s\\0" "$@"\n')
  words = subprocess.run(
      ['bash', '-c', script], env={'PATH': str(launcher.bin)}, text=True,
      check=True, capture_output=True).stdout.split('\0')[:-1]
  launch = os.fspath(launcher.root / 'launch.sh')
  assert words == ['env', 'BNN_DEVICE=cpu', launch, 'multi-host', '-c', ECHO,
                   *AWKWARD]


def test_unknown_device(launcher):
  launcher.stub('sbatch', '#!/bin/bash\n')
  result = launcher.run('slurm', '-c', '', BNN_DEVICE='quantum')
  assert_one_sentence(result, 'BNN_DEVICE', "'quantum'")


def test_test_runs_the_three_checks(launcher):
  assert launcher.run('test', '-k', 'a or b')[0] == 0
  pip, *checks = launcher.logged()
  assert pip.endswith('-e .[test]')
  assert checks == ['-m ruff check .', '-m mypy',
                    '-m pytest -n 2 --dist=loadfile -k a or b']


def test_test_names_all_that_fail(launcher):
  status, _, err = launcher.run('test', FAILING='ruff pytest')
  assert status == 1
  assert len(launcher.logged()) == 4
  assert err.endswith('launch.sh: test: these fail: ruff pytest.\n')


HARDWARE = 'verilator iverilog yosys opensta qflow-tech-osu018 g++ make'


@pytest.mark.parametrize('flags, packages', [
    ([], HARDWARE),
    (['--with-fpga'], f'{HARDWARE} nextpnr-ice40 fpga-icestorm'),
])
def test_hardware_tools_are_installed_by_root(launcher, flags, packages):
  launcher.stub('id', '#!/bin/bash\necho 0\n')
  launcher.stub('apt-get', APT_GET)
  assert launcher.run('rtl-tools', *flags)[0] == 0
  assert launcher.logged() == [
      'apt-get update',
      f'apt-get install -y --no-install-recommends {packages}']


def test_hardware_tools_are_named_to_a_user(launcher):
  launcher.stub('id', '#!/bin/bash\necho 1000\n')
  launcher.stub('apt-get', APT_GET)
  assert_one_sentence(launcher.run('rtl-tools'), f'recommends {HARDWARE}.')
  assert_one_sentence(launcher.run('rtl-tools', '--all'), "'--all'")
  assert launcher.logged() == []


def test_hardware_tools_without_apt(launcher):
  assert_one_sentence(launcher.run('rtl-tools'), 'apt-get', HARDWARE)
