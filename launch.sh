#!/usr/bin/env bash
# Prepares the environment and the machine, then runs python; see --help.
set -euo pipefail

usage() {
  cat << 'EOF'
usage: ./launch.sh TARGET [ARGUMENTS OF PYTHON...]

Makes the environment in .venv beside this file, installs into it the releases
of constraints.txt (again only after a change of the dependencies), prepares
the machine for JAX and runs .venv/bin/python with the arguments as given.
It first changes into the folder of this file: paths such as
configs/kws.py are relative to the repository.

targets:
  cpu         run on the CPU
  gpu         run on the NVIDIA GPUs of this machine
  tpu         run on the TPU of this machine
  multi-host  run one process of several that train together; start it once a
              process, with the three JAX_* variables below
  slurm       submit the multi-host launch to SLURM: sbatch, then srun
  test        run ruff, mypy and pytest; the arguments go to pytest
  rtl-tools   install the Debian packages of the hardware flow, as root; with
              --with-fpga those for FPGAs, too

examples:
  ./launch.sh cpu -m bnn_jax.main --config=configs/kws.py \
    --workdir=runs/kws --mode=train
  ./launch.sh test tests/nn -k saturate
  BNN_NODES=4 SBATCH_GPUS_PER_NODE=8 ./launch.sh slurm -m bnn_jax.main \
    --config=configs/kws.py --workdir=runs/kws --mode=train

variables:
  PYTHON                   the Python that makes .venv, 3.11 or newer (python3)
  BNN_DEVICE               multi-host, slurm: cpu, gpu or tpu (gpu)
  JAX_COORDINATOR_ADDRESS  multi-host: host:port of process 0
  JAX_NUM_PROCESSES        multi-host: how many processes there are
  JAX_PROCESS_ID           multi-host: which of them this is, from 0
                           (inside a SLURM job the three follow from the job)
  BNN_NODES                slurm: number of nodes (1)
  BNN_TASKS_PER_NODE       slurm: processes on each node (1)
  SBATCH_*                 slurm: read by sbatch itself, as SBATCH_PARTITION,
                           SBATCH_ACCOUNT, SBATCH_TIMELIMIT,
                           SBATCH_GPUS_PER_NODE
EOF
}

say() {
  printf 'launch.sh: %s\n' "$*" >&2
}

fail() {
  say "$*"
  exit 1
}

check_python() {
  local found
  command -v "$python" > /dev/null ||
    fail "$python is not found: install Python 3.11 or newer," \
      'or name one in PYTHON.'
  found="$("$python" -c "$version_check")" ||
    fail "Python 3.11 or newer is needed and $python is ${found:-broken}:" \
      'name a newer one in PYTHON, as in PYTHON=python3.12 ./launch.sh cpu.'
}

has_venv_module() {
  "$python" -c 'import ensurepip, venv' 2> /dev/null
}

install_venv_module() {
  say 'installing python3-venv with apt-get'
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y python3-venv < /dev/null >&2 && return
  apt-get update >&2 && apt-get install -y python3-venv < /dev/null >&2
}

# Debian ships venv without the ensurepip that puts pip into it.
check_venv_module() {
  has_venv_module && return
  if [[ "$(id -u)" == 0 ]] && command -v apt-get > /dev/null; then
    install_venv_module || say 'apt-get could not install python3-venv'
  fi
  has_venv_module ||
    fail "$python cannot make environments: install the package" \
      'python3-venv, as in sudo apt-get install python3-venv.'
}

make_environment() {
  "$venv/bin/python" -c "import pip
$version_check" > /dev/null 2>&1 && return
  check_python
  check_venv_module
  say 'making the environment in .venv'
  # What an interrupted launch or a removed Python left would be kept by venv.
  rm -rf "${venv:?}"/bin "${venv:?}"/lib "${venv:?}"/stamp*
  "$python" -m venv "$venv" >&2
}

checksum() {
  { printf '%s\n' "$root" "$1"
    cat setup.cfg setup.py pyproject.toml constraints.txt \
      bnn_jax/nn/kernels/*.[ch]
  } | sha256sum
}

install_package() {
  local extra="$1" stamp="$2" sum="$3"
  make_environment
  rm -f "$stamp"
  say "installing .${extra:+[$extra]} with the releases of constraints.txt"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    -c constraints.txt -e ".${extra:+[$extra]}" >&2 ||
    fail 'pip could not install the package: its own message is above.'
  printf '%s\n' "$sum" > "$stamp.new"
  mv "$stamp.new" "$stamp"
}

# Each extra has its own stamp: `cpu` after `test` need not install again.
prepare_environment() {
  local extra="$1" stamp="$venv/stamp-${1:-plain}" sum
  command -v flock > /dev/null ||
    fail 'flock is not found: install the package util-linux.'
  mkdir -p "$venv"
  {
    flock 9
    sum="$(checksum "$extra")"
    if [[ ! -x "$venv/bin/python" ||
      "$(cat "$stamp" 2> /dev/null)" != "$sum" ]]; then
      install_package "$extra" "$stamp" "$sum"
    fi
  } 9>> "$venv/lock"
}

check_gpu() {
  nvidia-smi > /dev/null 2>&1 ||
    fail 'nvidia-smi finds no GPU here: install the NVIDIA driver,' \
      'or run ./launch.sh cpu.'
}

check_tpu() {
  compgen -G '/dev/accel*' > /dev/null ||
    compgen -G '/dev/vfio/[0-9]*' > /dev/null ||
    fail 'there is no TPU here, neither /dev/accel* nor /dev/vfio/*:' \
      'use a TPU machine, or run ./launch.sh cpu.'
}

# The device's extra in setup.cfg.
extra_of() {
  case "$1" in
    cpu) ;;
    gpu | tpu) printf '%s' "$1" ;;
    *) fail "BNN_DEVICE is '$1': set it to cpu, gpu or tpu." ;;
  esac
}

prepare_machine() {
  case "$1" in
    cpu)
      export JAX_PLATFORMS=cpu
      # Huge pages: XLA takes the memory of its temporaries anew at each step,
      # and page faults would be a fifth of the time of a small network's.
      export GLIBC_TUNABLES="${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}"
      ;;
    gpu)
      check_gpu
      export JAX_PLATFORMS=cuda,cpu
      ;;
    tpu)
      check_tpu
      export JAX_PLATFORMS=tpu,cpu
      ;;
  esac
}

run_python() {
  local device="$1" extra
  shift
  extra="$(extra_of "$device")"
  prepare_machine "$device"
  prepare_environment "$extra"
  say "running$(printf ' %q' "$venv/bin/python" "$@")"
  exec "$venv/bin/python" "$@"
}

# The job's number spreads the ports: two jobs may share their first node.
slurm_coordinator() {
  local hosts
  hosts="$(scontrol show hostnames "$SLURM_JOB_NODELIST")"
  printf '%s:%d' "${hosts%%$'\n'*}" $((20000 + SLURM_JOB_ID % 10000))
}

read_slurm_job() {
  local address
  address="${JAX_COORDINATOR_ADDRESS:-$(slurm_coordinator)}"
  JAX_COORDINATOR_ADDRESS="$address"
  JAX_NUM_PROCESSES="${JAX_NUM_PROCESSES:-$SLURM_NTASKS}"
  JAX_PROCESS_ID="${JAX_PROCESS_ID:-$SLURM_PROCID}"
}

check_processes() {
  local count="${JAX_NUM_PROCESSES:-}" index="${JAX_PROCESS_ID:-}"
  [[ "${JAX_COORDINATOR_ADDRESS:-}" =~ ^[^[:space:]]+:[0-9]+$ ]] ||
    fail "JAX_COORDINATOR_ADDRESS is '${JAX_COORDINATOR_ADDRESS:-}':" \
      'set it to host:port of process 0.'
  [[ "$count" =~ ^[1-9][0-9]*$ ]] ||
    fail "JAX_NUM_PROCESSES is '$count': set it to the number of processes."
  if [[ ! "$index" =~ ^(0|[1-9][0-9]*)$ ]] || ((index >= count)); then
    fail "JAX_PROCESS_ID is '$index': set it to a number from 0" \
      "to $((count - 1))."
  fi
}

run_multi_host() {
  if [[ -n "${SLURM_PROCID:-}" ]]; then
    read_slurm_job
  fi
  check_processes
  export JAX_COORDINATOR_ADDRESS JAX_NUM_PROCESSES JAX_PROCESS_ID
  say "process $JAX_PROCESS_ID of $JAX_NUM_PROCESSES," \
    "coordinator $JAX_COORDINATOR_ADDRESS"
  run_python "${BNN_DEVICE:-gpu}" "$@"
}

# The environment is made here: the nodes of a cluster often have no network.
submit() {
  local device="${BNN_DEVICE:-gpu}" extra script
  local options=("--nodes=${BNN_NODES:-1}"
    "--ntasks-per-node=${BNN_TASKS_PER_NODE:-1}")
  command -v sbatch > /dev/null ||
    fail 'sbatch is not found: run ./launch.sh slurm on a login node of a' \
      'SLURM cluster.'
  extra="$(extra_of "$device")"
  prepare_environment "$extra"
  export SBATCH_JOB_NAME="${SBATCH_JOB_NAME:-bnn_jax}"
  script="#!/bin/bash
srun$(printf ' %q' env "BNN_DEVICE=$device" "$root/launch.sh" multi-host "$@")"
  say "submitting sbatch ${options[*]}, with the job"
  printf '%s\n' "$script" >&2
  exec sbatch "${options[@]}" <<< "$script"
}

# The flow reads Verilog with verilator, iverilog and yosys, and finds cells of
# a 180 nm process in qflow-tech-osu018.
install_rtl_tools() {
  local packages=(verilator iverilog yosys opensta qflow-tech-osu018 g++ make)
  if [[ "$*" == --with-fpga ]]; then
    packages+=(nextpnr-ice40 fpga-icestorm)
  elif (($#)); then
    fail "rtl-tools takes --with-fpga or nothing, not '$*'."
  fi
  command -v apt-get > /dev/null ||
    fail 'apt-get is not found: install the programs of these Debian' \
      "packages in another way: ${packages[*]}."
  [[ "$(id -u)" == 0 ]] ||
    fail 'rtl-tools installs as root: run sudo apt-get install' \
      "--no-install-recommends ${packages[*]}."
  say "installing ${packages[*]} with apt-get"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update &&
    apt-get install -y --no-install-recommends "${packages[@]}"
  } < /dev/null >&2 ||
    fail 'apt-get could not install the packages: its own message is above.'
}

run_check() {
  say "running $venv/bin/python -m $*"
  "$venv/bin/python" -m "$@"
}

run_tests() {
  local failed=()
  prepare_machine cpu
  prepare_environment test
  run_check ruff check . || failed+=(ruff)
  run_check mypy || failed+=(mypy)
  run_check pytest -n 2 --dist=loadfile "$@" || failed+=(pytest)
  if ((${#failed[@]})); then
    fail "test: these fail: ${failed[*]}."
  fi
}

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" > /dev/null && pwd -P)"
venv="$root/.venv"
python="${PYTHON:-python3}"
version_check='import sys
print("%d.%d" % sys.version_info[:2])
if sys.version_info < (3, 11): sys.exit(1)'
cd "$root"

target="${1:-}"
[[ $# == 0 ]] || shift
case "$target" in
  cpu | gpu | tpu) run_python "$target" "$@" ;;
  multi-host) run_multi_host "$@" ;;
  slurm) submit "$@" ;;
  test) run_tests "$@" ;;
  rtl-tools) install_rtl_tools "$@" ;;
  -h | --help | help) usage ;;
  '')
    usage >&2
    exit 1
    ;;
  *)
    fail "unknown target '$target': use cpu, gpu, tpu, multi-host, slurm," \
      'test or rtl-tools; --help tells more.'
    ;;
esac
