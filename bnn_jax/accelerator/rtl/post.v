// What follows the array: a chunk of LANES channels a cycle, in the order of
// the channels of each position, through the residual, ShiftPReLU and RSign
// into the memories of the stream and of bits.
//
// A chunk's slot is cycle 0. Its batch norm's constants are read in cycle 0,
// its residual in 3, the constants of ShiftPReLU in 4 and of RSign in 5; y is
// valid in 4, the sum in 5, value and bits in 6, when they are written.
module post #(
    parameter LANES = 16,
    parameter SIMD = 64,
    parameter STREAM = 8
) (
    input clk,
    input reset,
    input start,
    input [24*34-1:0] step,
    input slot,
    input slot_first,
    input [LANES-1:0] compared,
    input [LANES*STREAM-1:0] y,
    output norm_read,
    output [23:0] norm_address,
    output residual_read,
    output [23:0] residual_address,
    input [LANES*STREAM-1:0] residual_row,
    output prelu_read,
    output [23:0] prelu_address,
    input [LANES*(2*STREAM+3)-1:0] prelu_row,
    output sign_read,
    output [23:0] sign_address,
    input [LANES*(STREAM+1)-1:0] sign_row,
    output stream_write,
    output reg [23:0] stream_address,
    output bits_write,
    output reg [23:0] bits_address,
    output [SIMD-1:0] bits_row,
    // The chunk in cycle 6, and whether all are done behind it.
    output valid,
    output [23:0] chunk,
    output first_position,
    output done,
    output [LANES*STREAM-1:0] residual,
    output [LANES*STREAM-1:0] sum,
    output [LANES*STREAM-1:0] value,
    output [LANES-1:0] signs,
    output [6:1] valid_then
);
  `include "step.vh"

  // Slots behind the last output of a group carry nothing.
  reg [23:0] in_group, in_position, position, residual_position;
  wire new_group = slot_first && in_group == group_chunks;
  wire [23:0] this_chunk = new_group ? 0 : in_group;
  wire here = slot && this_chunk != group_chunks;
  wire position_end = in_position == chunks - 1;
  always @(posedge clk)
    if (reset || start) begin
      in_group <= 0;
      in_position <= 0;
      position <= 0;
      residual_position <= residual_base;
    end else if (here) begin
      in_group <= this_chunk + 1;
      in_position <= position_end ? 0 : in_position + 1;
      if (position_end) begin
        position <= position + 1;
        residual_position <= residual_position + residual_rows;
      end
    end

  // What was known in cycle 0 is i cycles later at index i.
  reg [6:1] valids, firsts, lasts;
  reg [23:0] chunk_then[1:6];
  reg [23:0] residual_then[1:3];
  reg [LANES-1:0] compared_then[3:6];
  integer i;
  always @(posedge clk) begin
    valids <= reset || start ? 6'b0 : {valids[5:1], here};
    firsts <= {firsts[5:1], position == 0};
    lasts <= {lasts[5:1], position_end && position == positions - 1};
    chunk_then[1] <= in_position;
    for (i = 2; i <= 6; i = i + 1) chunk_then[i] <= chunk_then[i-1];
    residual_then[1] <= residual_position + in_position;
    for (i = 2; i <= 3; i = i + 1) residual_then[i] <= residual_then[i-1];
    compared_then[3] <= compared;
    for (i = 4; i <= 6; i = i + 1) compared_then[i] <= compared_then[i-1];
  end

  assign norm_read = here;
  assign norm_address = constant_base + in_position;
  assign residual_read =
      valids[3] && has_residual && chunk_then[3] < residual_chunks;
  assign residual_address = residual_then[3];
  assign prelu_read = valids[4] && has_prelu;
  assign prelu_address = constant_base + chunk_then[4];
  assign sign_read = valids[5] && writes_bits && !is_threshold;
  assign sign_address = constant_base + chunk_then[5];

  reg residual_here;
  always @(posedge clk) residual_here <= residual_read;
  assign residual = residual_here ? residual_row : {(LANES*STREAM){1'b0}};

  genvar l;
  generate
    for (l = 0; l < LANES; l = l + 1) begin : lanes
      lane #(.STREAM(STREAM)) lane (
          .clk(clk), .y(y[l*STREAM+:STREAM]),
          .residual(residual[l*STREAM+:STREAM]), .has_prelu(has_prelu),
          .k(prelu_row[l*(2*STREAM+3)+2*STREAM+:3]),
          .g(prelu_row[l*(2*STREAM+3)+STREAM+:STREAM]),
          .h(prelu_row[l*(2*STREAM+3)+:STREAM]),
          .theta(sign_row[l*(STREAM+1)+:STREAM+1]),
          .is_threshold(is_threshold), .compared(compared_then[6][l]),
          .sum(sum[l*STREAM+:STREAM]), .value(value[l*STREAM+:STREAM]),
          .sign(signs[l]));
    end
  endgenerate

  assign valid = valids[6];
  assign valid_then = valids;
  assign chunk = chunk_then[6];
  assign first_position = firsts[6];
  assign done = valid && lasts[6];
  assign stream_write = valid && writes_stream;

  // Bits are packed into the words that the next convolution reads: a word
  // ends after word_chunks, and with the operands of a group's tap.
  reg [SIMD-1:0] packed_bits;
  reg [23:0] in_word, in_row, offset;
  wire row_end = in_row == row_chunks - 1;
  wire word_end = in_word == word_chunks - 1 || row_end;
  assign bits_row = packed_bits | ({{SIMD{1'b0}}, signs} << offset);
  assign bits_write = valid && writes_bits && word_end;
  always @(posedge clk)
    if (reset || start) begin
      packed_bits <= 0;
      in_word <= 0;
      in_row <= 0;
      offset <= 0;
      stream_address <= stream_base;
      bits_address <= bits_base;
    end else if (valid) begin
      packed_bits <= word_end ? 0 : bits_row;
      in_word <= word_end ? 0 : in_word + 1;
      offset <= word_end ? 0 : offset + LANES;
      in_row <= row_end ? 0 : in_row + 1;
      stream_address <= stream_address + 1;
      bits_address <= bits_address + word_end;
    end
endmodule
