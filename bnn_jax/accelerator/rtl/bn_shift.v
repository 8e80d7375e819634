// Batch normalization without a multiplier: sat(shift(a, s) + b), three cycles.
// a is the register, or 2 * register - odd for the unit 'popcount'.
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
  reg signed [15:0] bias_then;
  always @(posedge clk) begin
    shifted <= shift[3] ? right : left;
    bias_then <= bias;
  end

  // The carry from the lower part into the upper one comes a cycle later, so
  // that no stage has a carry through all bits.
  localparam UPPER = SUM - STREAM;
  wire signed [SUM-1:0] wide_shifted = shifted;
  wire signed [SUM-1:0] wide_bias = bias_then;
  reg [STREAM:0] low;
  reg [UPPER-1:0] high;
  always @(posedge clk) begin
    low <= wide_shifted[STREAM-1:0] + wide_bias[STREAM-1:0];
    high <= wide_shifted[SUM-1:STREAM] + wide_bias[SUM-1:STREAM];
  end

  wire [UPPER-1:0] carried = high + low[STREAM];
  wire negative = carried[UPPER-1];
  wire overflow = carried != {UPPER{low[STREAM-1]}};
  always @(posedge clk)
    y <= overflow ? {negative, {(STREAM-1){~negative}}} : low[STREAM-1:0];
endmodule
