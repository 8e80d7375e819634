// Runs clips through engine.v:
//   simulator ROWS OUTPUT ROWS_OF_A_CLIP BYTES_OF_A_ROW [PROBES]
//
// ROWS holds the rows of the input memory, clip after clip. OUTPUT gets int32:
// for each clip its logits, its decision, its cycles. PROBES is a folder that
// gets what passes by on each probe, as it lies in memory. Counts of cycles in
// which a memory is used are printed, one a line.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "Vengine.h"
#include "verilated.h"

namespace {

// Of one inference; more is a machine that hangs.
const int32_t kMaxCycles = 1 << 24;
const char* const kUsed[] = {
    "weights read", "input read", "bits read", "bits written", "stream read",
    "stream written", "norms read", "prelus read", "signs read", "biases read",
    "classes read", "steps read", "array busy"};
const char* const kProbes[] = {"load", "registers", "y", "residual", "sum",
                               "value", "signs"};

struct Bench {
  Vengine top;
  long used[13] = {};
  FILE* probes[7] = {};

  template <class Port>
  void Probe(int i, const Port& port) {
    if (top.probe_valid >> i & 1) fwrite(&port, sizeof port, 1, probes[i]);
  }

  // Lets everything settle, looks at it, and goes on to the next cycle.
  void Tick() {
    top.clk = 0;
    top.eval();
    for (int i = 0; i < 13; i++) used[i] += top.used >> i & 1;
    if (probes[0] && top.probe_valid) {
      Probe(0, top.probe_load);
      Probe(1, top.probe_registers);
      Probe(2, top.probe_y);
      Probe(3, top.probe_residual);
      Probe(4, top.probe_sum);
      Probe(5, top.probe_value);
      Probe(6, top.probe_signs);
    }
    top.clk = 1;
    top.eval();
  }
};

std::vector<uint8_t> Read(const char* path) {
  std::vector<uint8_t> bytes;
  FILE* file = fopen(path, "rb");
  if (!file) return bytes;
  uint8_t buffer[65536];
  while (size_t n = fread(buffer, 1, sizeof buffer, file))
    bytes.insert(bytes.end(), buffer, buffer + n);
  fclose(file);
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  const std::vector<uint8_t> rows = Read(argv[1]);
  const long clip_rows = atol(argv[3]), row_bytes = atol(argv[4]);
  const long clips = rows.size() / (clip_rows * row_bytes);
  FILE* output = fopen(argv[2], "wb");
  if (!output || clips == 0) return 2;

  static Bench bench;
  Vengine& top = bench.top;
  for (int i = 0; argc > 5 && i < 7; i++) {
    const std::string path = std::string(argv[5]) + "/" + kProbes[i];
    bench.probes[i] = fopen(path.c_str(), "wb");
    if (!bench.probes[i]) return 2;
  }
  top.reset = 1;
  for (int i = 0; i < 4; i++) bench.Tick();
  top.reset = 0;

  long next_row = 0;
  const auto offer = [&](long until) {
    top.input_write = next_row < until;
    if (!top.input_write) return false;
    memcpy(&top.input_row, &rows[next_row * row_bytes], row_bytes);
    top.input_address = next_row % clip_rows;
    top.input_bank = next_row / clip_rows % 2;
    next_row++;
    return true;
  };
  for (long clip = 0; clip < clips; clip++) {
    while (offer((clip + 1) * clip_rows)) bench.Tick();
    const long until = (clip + 2 < clips ? clip + 2 : clips) * clip_rows;
    top.bank = clip % 2;
    top.start = 1;
    int32_t cycles = 0;
    do {
      offer(until);
      bench.Tick();
      top.start = 0;
      cycles++;
      if (top.logit_valid) fwrite(&top.logit, 4, 1, output);
      if (cycles > kMaxCycles) {
        fprintf(stderr, "clip %ld has no decision after %d cycles", clip,
                kMaxCycles);
        return 3;
      }
    } while (!top.done);
    const int32_t decision = top.decision;
    bench.Tick();
    fwrite(&decision, 4, 1, output);
    fwrite(&cycles, 4, 1, output);
  }
  for (int i = 0; i < 13; i++) printf("%s %ld\n", kUsed[i], bench.used[i]);
  bool written = fclose(output) == 0;
  for (FILE* probe : bench.probes) written &= !probe || fclose(probe) == 0;
  return written ? 0 : 2;
}
