// The operands of one output position and group, loaded word by word while
// the array works on those before: two buffers of WORDS words.
//
// A load takes a cycle: one row of a memory, or -1 for a frame outside of the
// input. Where several taps share a word, each is a load of its own.
module window #(
    parameter SIMD = 64,
    parameter WORDS = 16,
    parameter VALUE_SHIFT = 0
) (
    input clk,
    input reset,
    input start,
    input [24*34-1:0] step,
    // A row that is wanted; it is on `row` in the next cycle.
    output read,
    output [23:0] address,
    output [23:0] tap_row,
    input [SIMD-1:0] row,
    // The array: takes the next window, frees the buffer, reads a word of it.
    output reg [1:0] ready,
    input take,
    input free,
    input word_read,
    input word_buffer,
    input [23:0] word,
    output reg [SIMD-1:0] operands,
    output reg part,
    output loaded,
    output [SIMD-1:0] loaded_word
);
  `include "step.vh"

  reg [23:0] left, group, group_row, tap, tap_word, slot, index, offset;
  reg [23:0] frame, tap_frame, frame_address, tap_address;
  reg [1:0] buffers;
  reg buffer;

  wire first_load = tap == 0 && tap_word == 0;
  wire load = left != 0 && (!first_load || buffers != 0);
  wire last_word = tap_word == tap_words - 1;
  wire last_tap = tap == taps - 1;
  wire last_load = last_word && last_tap;
  wire last_slot = slot == word_taps - 1 || last_load;
  wire present = tap_frame < frames;

  assign tap_row = group_row + tap_word;
  wire [23:0] input_row = tap_row >> VALUE_SHIFT;
  assign address = tap_address + (reads_input ? input_row : tap_row);
  assign read = load && present;

  // Frames before the first are large numbers, as are those behind the last.
  wire [23:0] next_frame = frame + stride;
  wire [23:0] next_address = frame_address + stride_rows;
  always @(posedge clk)
    if (start) begin
      left <= windows;
      group <= 0;
      group_row <= first_row;
      tap <= 0;
      tap_word <= 0;
      frame <= first_frame;
      tap_frame <= first_frame;
      frame_address <= first_address;
      tap_address <= first_address;
    end else if (load) begin
      tap_word <= last_word ? 0 : tap_word + 1;
      if (last_word) begin
        tap <= tap + 1;
        tap_frame <= tap_frame + dilation;
        tap_address <= tap_address + dilation_rows;
      end
      if (last_load) begin
        left <= left - 1;
        tap <= 0;
        if (group != groups - 1) begin
          group <= group + 1;
          group_row <= group_row + tap_words;
          tap_frame <= frame;
          tap_address <= frame_address;
        end else begin
          group <= 0;
          group_row <= first_row;
          frame <= next_frame;
          tap_frame <= next_frame;
          frame_address <= next_address;
          tap_address <= next_address;
        end
      end
    end else if (reset) left <= 0;

  // Where the load belongs: word `index`, lanes from `offset` on.
  always @(posedge clk)
    if (start) begin
      slot <= 0;
      index <= 0;
      offset <= 0;
      buffer <= 0;
    end else if (load) begin
      slot <= last_slot ? 0 : slot + 1;
      offset <= last_slot ? 0 : offset + tap_channels;
      index <= last_load ? 0 : index + last_slot;
      buffer <= buffer ^ last_load;
    end

  reg here, here_present, here_first, here_part, here_last, here_buffer;
  reg [23:0] here_index, here_offset;
  always @(posedge clk) begin
    here <= load && !reset;
    here_present <= present;
    here_first <= slot == 0;
    here_part <= last_word && (word_taps == 1 || last_tap);
    here_last <= last_load;
    here_buffer <= buffer;
    here_index <= index;
    here_offset <= offset;
  end

  localparam INDEX = $clog2(WORDS);
  reg [SIMD:0] held[0:2*WORDS-1];
  reg [SIMD-1:0] assembled;
  assign loaded = here;
  assign loaded_word = here_present ? row : {SIMD{1'b0}};
  wire [SIMD-1:0] merged =
      (here_first ? {SIMD{1'b0}} : assembled) | (loaded_word << here_offset);
  always @(posedge clk)
    if (here) begin
      assembled <= merged;
      held[{here_buffer, here_index[INDEX-1:0]}] <= {here_part, merged};
    end
  always @(posedge clk)
    if (word_read) {part, operands} <= held[{word_buffer, word[INDEX-1:0]}];

  always @(posedge clk)
    if (reset || start) begin
      buffers <= 2;
      ready <= 0;
    end else begin
      buffers <= buffers + free - (load && first_load);
      ready <= ready + (here && here_last) - take;
    end
endmodule
