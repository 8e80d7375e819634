// Sends each window through the array, once for every PES outputs of its
// group: a pass of `words` words, which fills at least `pass_cycles` cycles.
module passes (
    input clk,
    input reset,
    input start,
    input [24*34-1:0] step,
    input [1:0] ready,
    output take,
    output free,
    output read,
    output reg buffer,
    output reg [23:0] word,
    output reg [23:0] weight_address,
    // Of the word that was read in the cycle before.
    output reg enable,
    output reg first,
    output reg last
);
  `include "step.vh"

  reg running;
  reg [23:0] left, group, tile;
  wire pass_end = word == pass_cycles - 1;
  wire window_end = pass_end && tile == tiles - 1;
  assign take = ready != 0 && left != 0 && (!running || window_end);
  // What is loaded next is written behind the words still to be read.
  assign free = running && tile == tiles - 1 && word == 0;
  assign read = running && word < words;

  always @(posedge clk)
    if (reset || start) begin
      running <= 0;
      left <= start ? windows : 0;
      group <= 0;
      buffer <= 1;
      weight_address <= weight_base;
    end else begin
      if (take) begin
        running <= 1;
        left <= left - 1;
        buffer <= !buffer;
      end else if (window_end) running <= 0;
      if (running) begin
        word <= pass_end ? 0 : word + 1;
        if (pass_end) tile <= tile + 1;
        if (read) weight_address <= weight_address + 1;
        if (window_end) begin
          group <= group == groups - 1 ? 0 : group + 1;
          if (group == groups - 1) weight_address <= weight_base;
        end
      end
      if (take) begin
        word <= 0;
        tile <= 0;
      end
    end

  always @(posedge clk) begin
    enable <= read && !reset;
    first <= word == 0;
    last <= read && word == words - 1 && !reset;
  end
endmodule
