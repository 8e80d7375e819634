// Behind the batch normalization, for one channel: the residual, ShiftPReLU and
// RSign. y and residual enter together, k, g and h a cycle later, theta and
// compared (what a threshold gave in the place of all this) two cycles later.
module lane #(
    parameter STREAM = 8
) (
    input clk,
    input signed [STREAM-1:0] y,
    input signed [STREAM-1:0] residual,
    input has_prelu,
    input [2:0] k,
    input signed [STREAM-1:0] g,
    input signed [STREAM-1:0] h,
    input signed [STREAM:0] theta,
    input is_threshold,
    input compared,
    output reg signed [STREAM-1:0] sum,
    output reg signed [STREAM-1:0] value,
    output sign
);
  wire signed [STREAM:0] wide_sum = y + residual;
  wire sum_overflow = wide_sum[STREAM] != wide_sum[STREAM-1];
  always @(posedge clk)
    sum <= sum_overflow ? {wide_sum[STREAM], {(STREAM-1){~wide_sum[STREAM]}}}
                        : wide_sum[STREAM-1:0];

  wire signed [STREAM:0] z = sum - g;
  wire signed [STREAM:0] shifted = z >>> k;
  wire signed [STREAM:0] f = z[STREAM] ? shifted : z;
  wire signed [STREAM+1:0] moved = f + h;
  wire overflow = moved[STREAM+1:STREAM-1] != {3{moved[STREAM+1]}};
  always @(posedge clk)
    if (!has_prelu) value <= sum;
    else
      value <= overflow ? {moved[STREAM+1], {(STREAM-1){~moved[STREAM+1]}}}
                        : moved[STREAM-1:0];

  assign sign = is_threshold ? compared : value >= theta;
endmodule
