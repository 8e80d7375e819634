// The usual batch normalization in fixed point, for comparison only:
// sat(floor((a * scale + bias) / 2^FRACTION)), four cycles, or five if it is
// DEEP.
//
// The product is Booth's: scale in 8 digits of -2 to 2, which are summed in
// pairs in the first cycle, in fours in the second. The third adds both sums
// and the bias but for the carry into the upper half, which the fourth adds.
// DEEP has a register for each digit's term before all this, which is faster
// and larger.
module bn_full #(
    parameter BITS = 8,
    parameter STREAM = 8,
    parameter FRACTION = 12,
    parameter DEEP = 0
) (
    input clk,
    input signed [BITS-1:0] value,
    input signed [15:0] scale,
    input signed [23:0] bias,
    output reg signed [STREAM-1:0] y
);
  localparam PAIR = BITS + 5;
  localparam HALF = BITS + 9;
  localparam PRODUCT = BITS + 17;
  localparam SUM = (PRODUCT > 24 ? PRODUCT : 24) + 2;
  localparam LOW = FRACTION + 4;
  localparam UPPER = SUM - LOW;

  wire [16:0] overlapping = {scale, 1'b0};
  // Digits as inverted terms, and the 1 that makes those negative.
  wire signed [BITS:0] terms[0:7];
  wire [7:0] ones;
  genvar i;
  generate
    for (i = 0; i < 8; i = i + 1) begin : digit
      wire [2:0] code = overlapping[2*i+:3];
      wire one = code[1] ^ code[0];
      wire two = code == 3'b011 || code == 3'b100;
      wire signed [BITS:0] once = value;
      wire signed [BITS:0] twice = {value, 1'b0};
      wire signed [BITS:0] chosen = one ? once : two ? twice : {(BITS+1){1'b0}};
      wire signed [BITS:0] term = chosen ^ {(BITS+1){code[2]}};
      if (DEEP != 0) begin : held
        reg signed [BITS:0] term_then;
        reg one_then;
        always @(posedge clk) {term_then, one_then} <= {term, code[2]};
        assign terms[i] = term_then;
        assign ones[i] = one_then;
      end else begin : direct
        assign terms[i] = term;
        assign ones[i] = code[2];
      end
    end
  endgenerate

  reg signed [PAIR-1:0] pairs[0:3];
  reg signed [HALF-1:0] low, high;
  reg signed [23:0] bias_1, bias_2, bias_3;
  wire signed [23:0] bias_then = DEEP != 0 ? bias_3 : bias_2;
  integer k;
  always @(posedge clk) begin
    for (k = 0; k < 4; k = k + 1)
      pairs[k] <= terms[2*k] + (terms[2*k+1] <<< 2)
          + $signed({1'b0, ones[2*k+1], 1'b0, ones[2*k]});
    low <= pairs[0] + (pairs[1] <<< 4);
    high <= pairs[2] + (pairs[3] <<< 4);
    bias_1 <= bias;
    bias_2 <= bias_1;
    bias_3 <= bias_2;
  end

  wire signed [SUM-1:0] wide_low = low;
  wire signed [SUM-1:0] wide_high = high <<< 8;
  wire signed [SUM-1:0] wide_bias = bias_then;
  reg [LOW+1:0] lower;
  reg [UPPER-1:0] upper;
  always @(posedge clk) begin
    lower <= wide_low[LOW-1:0] + wide_high[LOW-1:0] + wide_bias[LOW-1:0];
    upper <= wide_low[SUM-1:LOW] + wide_high[SUM-1:LOW] + wide_bias[SUM-1:LOW];
  end

  wire [UPPER-1:0] carried = upper + lower[LOW+1:LOW];
  wire [SUM-FRACTION-1:0] kept = {carried, lower[LOW-1:FRACTION]};
  wire negative = carried[UPPER-1];
  wire overflow =
      kept[SUM-FRACTION-1:STREAM-1] != {(SUM-FRACTION-STREAM+1){negative}};
  always @(posedge clk)
    y <= overflow ? {negative, {(STREAM-1){~negative}}} : kept[STREAM-1:0];
endmodule
