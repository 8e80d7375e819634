// Batch normalization without a multiplier: sat(shift(a, s) + b), two cycles.
// a is the register, or 2 * register - odd for the unit 'popcount'. `shift`
// belongs to the register on the input, `bias` to the one of a cycle before.
module bn_shift #(
    parameter BITS = 8,
    parameter POPCOUNT = 0,
    parameter STREAM = 8
) (
    input clk,
    input signed [BITS-1:0] value,
    input [15:0] odd,
    input signed [3:0] shift,
    input signed [15:0] bias,
    output reg signed [STREAM-1:0] y
);
  localparam RESULT = POPCOUNT != 0 ? (BITS > 15 ? BITS : 15) + 3 : BITS;
  localparam SHIFTED = RESULT + 7;
  localparam SUM = (SHIFTED > 16 ? SHIFTED : 16) + 1;

  wire signed [RESULT-1:0] result;
  generate
    if (POPCOUNT != 0) begin : doubled
      wire signed [16:0] signed_odd = {1'b0, odd};
      assign result = (value <<< 1) - signed_odd;
    end else begin : plain
      assign result = value;
    end
  endgenerate

  wire signed [SHIFTED-1:0] wide = result;
  wire signed [SHIFTED-1:0] left = wide <<< shift[2:0];
  wire [3:0] distance = -shift;
  wire signed [SHIFTED-1:0] right = wide >>> distance;
  reg signed [SHIFTED-1:0] shifted;
  always @(posedge clk) shifted <= shift[3] ? right : left;

  wire signed [SUM-1:0] sum = shifted + bias;
  wire overflow = sum[SUM-1:STREAM-1] != {(SUM-STREAM+1){sum[SUM-1]}};
  always @(posedge clk)
    y <= overflow ? {sum[SUM-1], {(STREAM-1){~sum[SUM-1]}}} : sum[STREAM-1:0];
endmodule
