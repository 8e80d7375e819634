// Batch normalization and the sign behind it as one comparison, one cycle.
// A threshold of BITS + 1 bits may be above every value of BITS bits.
module bn_threshold #(
    parameter BITS = 8
) (
    input clk,
    input signed [BITS-1:0] value,
    input signed [BITS:0] threshold,
    output reg y
);
  always @(posedge clk) y <= value >= threshold;
endmodule
