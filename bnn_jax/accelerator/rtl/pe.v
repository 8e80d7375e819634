// One processing element: XNOR, popcount tree, accumulator of BITS bits.
//
// A word enters with `weights` and `operands`. Its count leaves the tree after
// the latency of popcount.v and needs the word's `offset` then: the lanes n of
// the word for the unit 'dot', floor(n / 2) for 'popcount'. One cycle later
// `enable` adds it to the accumulator, or to `preload` where it is the `first`
// word of an output. Missing lanes are operands 0 with weights 1.
module pe #(
    parameter SIMD = 64,
    parameter BITS = 8,
    parameter SATURATE = 0,
    parameter POPCOUNT = 0,
    parameter SPAN = 2
) (
    input clk,
    input [SIMD-1:0] weights,
    input [SIMD-1:0] operands,
    input [$clog2(SIMD+1)-1:0] offset,
    input enable,
    input first,
    input signed [BITS-1:0] preload,
    output reg signed [BITS-1:0] accumulator
);
  localparam COUNT = $clog2(SIMD + 1);
  localparam SUMMAND = COUNT + 2;
  // Wide enough that the sum of the register and a summand loses nothing.
  localparam WIDE = (BITS > SUMMAND ? BITS : SUMMAND) + 1;

  wire [COUNT-1:0] count;
  popcount #(.WIDTH(SIMD), .SPAN(SPAN)) tree (
      .clk(clk), .bits(~(weights ^ operands)), .count(count));

  reg signed [SUMMAND-1:0] summand;
  always @(posedge clk)
    if (POPCOUNT != 0) summand <= {2'b0, count} - {2'b0, offset};
    else summand <= {1'b0, count, 1'b0} - {2'b0, offset};

  wire signed [BITS-1:0] base = first ? preload : accumulator;
  wire signed [WIDE-1:0] sum = base + summand;

  generate
    if (SATURATE != 0) begin : saturate
      wire overflow = sum[WIDE-1:BITS-1] != {(WIDE-BITS+1){sum[WIDE-1]}};
      always @(posedge clk)
        if (enable)
          accumulator <= overflow ? {sum[WIDE-1], {(BITS-1){~sum[WIDE-1]}}}
                                  : sum[BITS-1:0];
    end else begin : wrap
      always @(posedge clk) if (enable) accumulator <= sum[BITS-1:0];
    end
  endgenerate
endmodule
