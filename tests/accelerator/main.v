// Ticks the clock of bench.v, for iverilog.
module main;
  reg clk = 0;
  always #1 clk = !clk;
  bench bench (.clk(clk));
endmodule
