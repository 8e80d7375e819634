// The usual batch normalization in fixed point, for comparison only:
// sat(floor((a * scale + bias) / 2^FRACTION)), two cycles. `scale` belongs to
// the register on the input, `bias` to the one of a cycle before.
module bn_full #(
    parameter BITS = 8,
    parameter STREAM = 8,
    parameter FRACTION = 12
) (
    input clk,
    input signed [BITS-1:0] value,
    input signed [15:0] scale,
    input signed [23:0] bias,
    output reg signed [STREAM-1:0] y
);
  localparam PRODUCT = BITS + 16;
  localparam SUM = (PRODUCT > 24 ? PRODUCT : 24) + 1;

  reg signed [PRODUCT-1:0] product;
  always @(posedge clk) product <= value * scale;

  wire signed [SUM-1:0] sum = product + bias;
  wire signed [SUM-FRACTION-1:0] kept = sum[SUM-1:FRACTION];
  wire overflow =
      kept[SUM-FRACTION-1:STREAM-1]
      != {(SUM-FRACTION-STREAM+1){kept[SUM-FRACTION-1]}};
  always @(posedge clk)
    y <= overflow ? {sum[SUM-1], {(STREAM-1){~sum[SUM-1]}}}
                  : kept[STREAM-1:0];
endmodule
