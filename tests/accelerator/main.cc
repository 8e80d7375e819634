// Ticks the clock of bench.v until it ends the simulation.
#include "Vbench.h"
#include "verilated.h"

int main() {
  Vbench top;
  while (!Verilated::gotFinish()) {
    top.clk = !top.clk;
    top.eval();
  }
  top.final();
}
