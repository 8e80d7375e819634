// PES processing elements that share one word of operands, and LANES batch
// normalization units: one for each element where LANES = PES, otherwise each
// unit serves SHARE elements one after the other.
//
// A word enters with enable, first, last (of an output) and part (it has the
// lanes of `part_offset`, see pe.v). Behind the last one come SHARE slots, one
// a cycle: slot i carries the elements i * LANES to (i + 1) * LANES - 1. In the
// cycle after a slot its `registers` are valid and its constants are due; one
// cycle later `bits` are valid, three cycles later `y`, of the full unit four,
// or five if it is DEEP.
module array #(
    parameter PES = 16,
    parameter LANES = 16,
    parameter SIMD = 64,
    parameter BITS = 8,
    parameter SATURATE = 0,
    parameter POPCOUNT = 0,
    parameter SPAN = 2,
    parameter STREAM = 8,
    parameter SHIFT = 1,
    parameter THRESHOLD = 1,
    parameter FULL = 0,
    parameter DEEP = 0
) (
    input clk,
    input reset,
    input [PES*SIMD-1:0] weights,
    input [SIMD-1:0] operands,
    input enable,
    input first,
    input last,
    input part,
    input [$clog2(SIMD+1)-1:0] full_offset,
    input [$clog2(SIMD+1)-1:0] part_offset,
    input [PES*BITS-1:0] preloads,
    output preload_next,
    output slot,
    output slot_first,
    output reg [LANES*BITS-1:0] registers,
    input [15:0] odd,
    input [LANES*(BITS+1)-1:0] thresholds,
    input [LANES*16-1:0] factors,
    input [LANES*24-1:0] biases,
    output [LANES-1:0] bits,
    output [LANES*STREAM-1:0] y
);
  localparam SHARE = PES / LANES;
  localparam LEVELS = $clog2(SIMD);
  localparam TREE = (LEVELS + SPAN - 1) / SPAN;

  // What was said of a word i cycles ago is at index i.
  reg [TREE+2:1] enables, firsts, lasts, parts;
  wire [TREE+2:0] enable_then = {enables, enable};
  wire [TREE+2:0] first_then = {firsts, first};
  wire [TREE+2:0] last_then = {lasts, last};
  wire [TREE+2:0] part_then = {parts, part};
  always @(posedge clk) begin
    enables <= reset ? {(TREE+2){1'b0}} : enable_then[TREE+1:0];
    firsts <= first_then[TREE+1:0];
    lasts <= reset ? {(TREE+2){1'b0}} : last_then[TREE+1:0];
    parts <= part_then[TREE+1:0];
  end

  wire [$clog2(SIMD+1)-1:0] offset =
      part_then[TREE] ? part_offset : full_offset;
  wire [PES*BITS-1:0] accumulators;
  assign preload_next = last_then[TREE+1];

  genvar i;
  generate
    for (i = 0; i < PES; i = i + 1) begin : element
      pe #(.SIMD(SIMD), .BITS(BITS), .SATURATE(SATURATE), .POPCOUNT(POPCOUNT),
           .SPAN(SPAN)) pe (
          .clk(clk), .weights(weights[i*SIMD+:SIMD]), .operands(operands),
          .offset(offset), .enable(enable_then[TREE+1]),
          .first(first_then[TREE+1]), .preload(preloads[i*BITS+:BITS]),
          .accumulator(accumulators[i*BITS+:BITS]));
    end
  endgenerate

  wire complete = last_then[TREE+2];
  generate
    if (SHARE == 1) begin : direct
      assign slot = complete;
      assign slot_first = complete;
      always @(posedge clk) registers <= accumulators;
    end else begin : shared
      reg [PES*BITS-1:0] held;
      reg [$clog2(SHARE+1)-1:0] left;
      always @(posedge clk)
        if (reset) left <= 0;
        else if (complete) left <= SHARE;
        else if (left != 0) left <= left - 1;
      always @(posedge clk)
        if (complete) held <= accumulators;
        else held <= held >> (LANES * BITS);
      assign slot = left != 0;
      assign slot_first = left == SHARE;
      always @(posedge clk) registers <= held[LANES*BITS-1:0];
    end
  endgenerate

  generate
    for (i = 0; i < LANES; i = i + 1) begin : lane
      if (SHIFT != 0) begin : shift
        bn_shift #(.BITS(BITS), .POPCOUNT(POPCOUNT), .STREAM(STREAM)) bn (
            .clk(clk), .value(registers[i*BITS+:BITS]), .odd(odd),
            .shift(factors[i*16+:4]), .bias(biases[i*24+:16]),
            .y(y[i*STREAM+:STREAM]));
      end else if (FULL != 0) begin : full
        bn_full #(.BITS(BITS), .STREAM(STREAM), .DEEP(DEEP)) bn (
            .clk(clk), .value(registers[i*BITS+:BITS]),
            .scale(factors[i*16+:16]), .bias(biases[i*24+:24]),
            .y(y[i*STREAM+:STREAM]));
      end else begin : none
        assign y[i*STREAM+:STREAM] = 0;
      end
      if (THRESHOLD != 0) begin : compare
        bn_threshold #(.BITS(BITS)) bn (
            .clk(clk), .value(registers[i*BITS+:BITS]),
            .threshold(thresholds[i*(BITS+1)+:BITS+1]), .y(bits[i]));
      end else begin : never
        assign bits[i] = 1'b0;
      end
    end
  endgenerate
endmodule
