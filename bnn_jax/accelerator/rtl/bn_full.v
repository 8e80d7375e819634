// The usual batch normalization in fixed point, for comparison only:
// sat(floor((a * scale + bias) / 2^FRACTION)), two cycles. `scale` belongs to
// the value on the input, `bias` to the one of a cycle before.
//
// The product is Booth's: scale in 8 digits of -2 to 2, whose lower and upper
// four are summed in the first cycle, both sums and the bias in the second.
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
  localparam HALF = BITS + 9;
  localparam PRODUCT = BITS + 17;
  localparam SUM = (PRODUCT > 24 ? PRODUCT : 24) + 1;

  wire [16:0] overlapping = {scale, 1'b0};
  wire [8*HALF-1:0] terms;
  // What makes the inverted terms negative: 1 in their lowest places.
  wire [8*HALF-1:0] ones;
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
      wire signed [HALF-1:0] wide = term;
      assign terms[i*HALF+:HALF] = wide << (2 * (i % 4));
      assign ones[i*HALF+:HALF] = {{(HALF-1){1'b0}}, code[2]} << (2 * (i % 4));
    end
  endgenerate

  reg signed [HALF-1:0] low, high;
  always @(posedge clk) begin
    low <= terms[0+:HALF] + terms[HALF+:HALF] + terms[2*HALF+:HALF]
        + terms[3*HALF+:HALF]
        + (ones[0+:HALF] | ones[HALF+:HALF] | ones[2*HALF+:HALF]
           | ones[3*HALF+:HALF]);
    high <= terms[4*HALF+:HALF] + terms[5*HALF+:HALF] + terms[6*HALF+:HALF]
        + terms[7*HALF+:HALF]
        + (ones[4*HALF+:HALF] | ones[5*HALF+:HALF] | ones[6*HALF+:HALF]
           | ones[7*HALF+:HALF]);
  end

  wire signed [SUM-1:0] wide_low = low;
  wire signed [SUM-1:0] wide_high = high;
  wire signed [SUM-1:0] sum = wide_low + (wide_high <<< 8) + bias;
  wire signed [SUM-FRACTION-1:0] kept = sum[SUM-1:FRACTION];
  wire overflow =
      kept[SUM-FRACTION-1:STREAM-1]
      != {(SUM-FRACTION-STREAM+1){kept[SUM-FRACTION-1]}};
  always @(posedge clk)
    y <= overflow ? {sum[SUM-1], {(STREAM-1){~sum[SUM-1]}}}
                  : kept[STREAM-1:0];
endmodule
