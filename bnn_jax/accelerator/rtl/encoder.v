// Thermometer: each lane compares a value of the input with its threshold.
// A value has SIMD / VALUES lanes, side by side.
module encoder #(
    parameter SIMD = 64,
    parameter VALUES = 8
) (
    input [VALUES*8-1:0] values,
    input [SIMD*9-1:0] thresholds,
    output [SIMD-1:0] bits
);
  genvar i;
  generate
    for (i = 0; i < SIMD; i = i + 1) begin : lane
      assign bits[i] =
          {1'b0, values[i/(SIMD/VALUES)*8+:8]} >= thresholds[i*9+:9];
    end
  endgenerate
endmodule
