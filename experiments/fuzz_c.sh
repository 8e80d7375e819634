#!/usr/bin/env bash
# Feeds the C code of an export what no microphone gives, and stops at a crash:
#
#   experiments/fuzz_c.sh EXPORT [SECONDS]
#
# builds EXPORT/c with clang's libFuzzer, address and undefined-behaviour
# sanitizers and lets them look for wav files, samples and features that break
# it, 300 seconds by default. What breaks it stays in the current folder.
# CFLAGS chooses the instructions, by default those of this machine; for plain C
#
#   CFLAGS='-DBNN_PLAIN -DFRONTEND_PLAIN' experiments/fuzz_c.sh EXPORT
#
# On Debian: apt install clang.
set -euo pipefail

export_folder=${1:?usage: experiments/fuzz_c.sh EXPORT [SECONDS]}
seconds=${2:-300}
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! command -v clang > "$work/found"; then
  echo 'clang is missing: apt install clang' >&2
  exit 1
fi
read -ra options <<< "${CFLAGS--march=native}"
clang -std=c99 -g -O1 "${options[@]}" -I"$export_folder/c" \
  -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
  "$root/tests/export/fuzz.c" "$export_folder/c/bnn_model.c" \
  "$export_folder/c/frontend.c" -o "$work/fuzz"

# A whole file to start from: 1 s of a ramp.
mkdir "$work/corpus"
python3 - "$work/corpus/ramp.wav" <<'END'
import sys
import wave

with wave.open(sys.argv[1], 'wb') as file:
  file.setnchannels(1)
  file.setsampwidth(2)
  file.setframerate(16000)
  file.writeframes(b''.join(
    (i * 37 % 65536 - 32768).to_bytes(2, 'little', signed=True)
    for i in range(16000)
  ))
END
"$work/fuzz" -max_total_time="$seconds" -max_len=40000 \
  -artifact_prefix="$PWD/" -print_final_stats=1 "$work/corpus"
