// The accelerator: runs the steps of a network, which are rows of a memory, on
// one clip at a time. A clip is written into one of two banks of the input
// memory while the clip in the other one is computed.
module engine #(
    parameter PES = 16,
    parameter LANES = 16,
    parameter SIMD = 64,
    parameter BITS = 8,
    parameter SATURATE = 0,
    parameter POPCOUNT = 0,
    parameter SPAN = 2,
    parameter STREAM = 8,
    parameter VALUES = 8,
    parameter VALUE_SHIFT = 0,
    parameter WORDS = 16,
    parameter POOL = 16,
    parameter POOL_CHUNKS = 8,
    parameter CLASSES = 12,
    parameter STEPS = 8,
    parameter WEIGHT_ROWS = 512,
    parameter CLASS_ROWS = 128,
    parameter CONSTANT_ROWS = 64,
    parameter PRELOAD_ROWS = 0,
    parameter INPUT_ROWS = 1024,
    parameter LEVEL_ROWS = 8,
    parameter BITS_ROWS = 128,
    parameter STREAM_ROWS = 512
) (
    input clk,
    input reset,
    input start,
    input bank,
    input input_write,
    input input_bank,
    input [23:0] input_address,
    input [VALUES*8-1:0] input_row,
    output logit_valid,
    output [31:0] logit,
    output [23:0] decision,
    output done,
    // Of each memory whether it is used now, see simulator.cc; array is busy.
    output [12:0] used,
    // What passes by, for comparison with a model.
    output [6:0] probe_valid,
    output [SIMD-1:0] probe_load,
    output [LANES*BITS-1:0] probe_registers,
    output [LANES*STREAM-1:0] probe_y,
    output [LANES*STREAM-1:0] probe_residual,
    output [LANES*STREAM-1:0] probe_sum,
    output [LANES*STREAM-1:0] probe_value,
    output [LANES-1:0] probe_signs
);
  localparam OFFSET = $clog2(SIMD + 1);
  localparam NORM = BITS + 1 > 20 ? BITS + 1 : 20;
  localparam PRELU = 2 * STREAM + 3;

  // The sequencer: reads a step, starts it, waits until all of it is written.
  localparam IDLE = 0, FETCH = 1, START = 2, RUN = 3, CLASSIFY = 4;
  reg [2:0] state;
  reg [23:0] step_number;
  reg now;
  wire [24*34-1:0] step;
  `include "step.vh"
  wire step_done;
  wire fetch = state == FETCH;
  wire start_step = state == START;
  wire start_classifier = state == RUN && step_done && is_last;
  always @(posedge clk)
    if (reset) state <= IDLE;
    else
      case (state)
        IDLE:
        if (start) begin
          state <= FETCH;
          step_number <= 0;
          now <= bank;
        end
        FETCH: state <= START;
        START: state <= RUN;
        RUN:
        if (step_done) begin
          state <= is_last ? CLASSIFY : FETCH;
          step_number <= step_number + 1;
        end
        default: if (done) state <= IDLE;
      endcase

  memory #(.WIDTH(24 * 34), .DEPTH(STEPS), .FILE("steps.hex")) steps (
      .clk(clk), .read(fetch), .address(step_number), .row(step),
      .write(1'b0), .write_address(24'b0), .write_row({(24*34){1'b0}}));

  // Operands.
  wire [1:0] ready;
  wire take, free, operand_read, window_read, window_buffer;
  wire [23:0] operand_address, tap_row, word;
  wire [SIMD-1:0] operand_row, operands;
  wire part;
  window #(.SIMD(SIMD), .WORDS(WORDS), .VALUE_SHIFT(VALUE_SHIFT)) window (
      .clk(clk), .reset(reset), .start(start_step), .step(step),
      .read(operand_read), .address(operand_address), .tap_row(tap_row),
      .row(operand_row), .ready(ready), .take(take), .free(free),
      .word_read(window_read), .word_buffer(window_buffer), .word(word),
      .operands(operands), .part(part), .loaded(probe_valid[0]),
      .loaded_word(probe_load));

  wire input_read = operand_read && reads_input;
  wire [23:0] read_base = now ? INPUT_ROWS : 0;
  wire [23:0] write_base = input_bank ? INPUT_ROWS : 0;
  wire [VALUES*8-1:0] values;
  memory #(.WIDTH(VALUES * 8), .DEPTH(2 * INPUT_ROWS)) inputs (
      .clk(clk), .read(input_read),
      .address(read_base + operand_address), .row(values),
      .write(input_write), .write_address(write_base + input_address),
      .write_row(input_row));
  wire [SIMD*9-1:0] levels;
  memory #(.WIDTH(SIMD * 9), .DEPTH(LEVEL_ROWS), .FILE("levels.hex")) level (
      .clk(clk), .read(input_read), .address(tap_row), .row(levels),
      .write(1'b0), .write_address(24'b0), .write_row({(SIMD*9){1'b0}}));
  wire [SIMD-1:0] encoded;
  encoder #(.SIMD(SIMD), .VALUES(VALUES)) encoder (
      .values(values), .thresholds(levels), .bits(encoded));

  wire bits_read = operand_read && !reads_input;
  wire bits_write;
  wire [23:0] bits_address;
  wire [SIMD-1:0] bits_row, written_bits;
  memory #(.WIDTH(SIMD), .DEPTH(BITS_ROWS)) bits (
      .clk(clk), .read(bits_read), .address(operand_address), .row(bits_row),
      .write(bits_write), .write_address(bits_address),
      .write_row(written_bits));
  assign operand_row = reads_input ? encoded : bits_row;

  // Weights, and the array.
  wire [23:0] weight_address;
  wire [PES*SIMD-1:0] weights;
  memory #(.WIDTH(PES * SIMD), .DEPTH(WEIGHT_ROWS), .FILE("weights.hex"))
      weight (
      .clk(clk), .read(window_read), .address(weight_address), .row(weights),
      .write(1'b0), .write_address(24'b0), .write_row({(PES*SIMD){1'b0}}));
  wire enable, first, last;
  passes passes (
      .clk(clk), .reset(reset), .start(start_step), .step(step), .ready(ready),
      .take(take), .free(free), .read(window_read), .buffer(window_buffer),
      .word(word), .weight_address(weight_address), .enable(enable),
      .first(first), .last(last));

  wire preload_next;
  wire [PES*BITS-1:0] preloads;
  generate
    if (PRELOAD_ROWS != 0) begin : preloaded
      // The row of the pass whose first word comes next.
      reg [23:0] preload;
      wire at_end = preload == groups * tiles - 1;
      always @(posedge clk) begin
        if (start_step) preload <= 0;
        else if (preload_next) preload <= at_end ? 0 : preload + 1;
      end
      reg [PES*BITS-1:0] rows[0:PRELOAD_ROWS-1];
      initial $readmemh("preloads.hex", rows);
      wire [23:0] chosen = preload_base + preload;
      assign preloads = rows[chosen[$clog2(PRELOAD_ROWS)-1:0]];
    end else begin : zero
      assign preloads = 0;
    end
  endgenerate

  wire slot, slot_first;
  wire [LANES-1:0] compared;
  wire [LANES*STREAM-1:0] y;
  wire norm_read;
  wire [23:0] norm_address;
  wire [LANES*NORM-1:0] norms;
  wire [LANES*(BITS+1)-1:0] thresholds;
  wire [LANES*16-1:0] factors;
  wire [LANES*24-1:0] biases;
  memory #(.WIDTH(LANES * NORM), .DEPTH(CONSTANT_ROWS), .FILE("norms.hex"))
      norm (
      .clk(clk), .read(norm_read), .address(norm_address), .row(norms),
      .write(1'b0), .write_address(24'b0), .write_row({(LANES*NORM){1'b0}}));
  genvar l;
  generate
    // A lane's constants: shift above bias, or a threshold.
    for (l = 0; l < LANES; l = l + 1) begin : constants
      assign thresholds[l*(BITS+1)+:BITS+1] = norms[l*NORM+:BITS+1];
      assign factors[l*16+:16] = {12'b0, norms[l*NORM+16+:4]};
      assign biases[l*24+:24] = {8'b0, norms[l*NORM+:16]};
    end
  endgenerate
  array #(.PES(PES), .LANES(LANES), .SIMD(SIMD), .BITS(BITS),
          .SATURATE(SATURATE), .POPCOUNT(POPCOUNT), .SPAN(SPAN),
          .STREAM(STREAM)) array (
      .clk(clk), .reset(reset || start_step), .weights(weights),
      .operands(operands),
      .enable(enable), .first(first), .last(last), .part(part),
      .full_offset(full_offset[OFFSET-1:0]),
      .part_offset(part_offset[OFFSET-1:0]), .preloads(preloads),
      .preload_next(preload_next), .slot(slot), .slot_first(slot_first),
      .registers(probe_registers), .odd(odd_words[15:0]),
      .thresholds(thresholds), .factors(factors), .biases(biases),
      .bits(compared), .y(y));

  // Residual stream, activations, bits.
  wire residual_read, prelu_read, sign_read, stream_write, post_valid;
  wire first_position;
  wire [23:0] residual_address, prelu_address, sign_address, stream_address;
  wire [23:0] chunk;
  wire [LANES*STREAM-1:0] residual_row;
  wire [LANES*PRELU-1:0] prelu_row;
  wire [LANES*(STREAM+1)-1:0] sign_row;
  wire [6:1] valid_then;
  post #(.LANES(LANES), .SIMD(SIMD), .STREAM(STREAM)) post (
      .clk(clk), .reset(reset), .start(start_step), .step(step), .slot(slot),
      .slot_first(slot_first), .compared(compared), .y(y),
      .norm_read(norm_read), .norm_address(norm_address),
      .residual_read(residual_read), .residual_address(residual_address),
      .residual_row(residual_row), .prelu_read(prelu_read),
      .prelu_address(prelu_address), .prelu_row(prelu_row),
      .sign_read(sign_read), .sign_address(sign_address), .sign_row(sign_row),
      .stream_write(stream_write), .stream_address(stream_address),
      .bits_write(bits_write), .bits_address(bits_address),
      .bits_row(written_bits), .valid(post_valid), .chunk(chunk),
      .first_position(first_position), .done(step_done),
      .residual(probe_residual), .sum(probe_sum), .value(probe_value),
      .signs(probe_signs), .valid_then(valid_then));
  memory #(.WIDTH(LANES * STREAM), .DEPTH(STREAM_ROWS)) stream (
      .clk(clk), .read(residual_read), .address(residual_address),
      .row(residual_row), .write(stream_write), .write_address(stream_address),
      .write_row(probe_value));
  memory #(.WIDTH(LANES * PRELU), .DEPTH(CONSTANT_ROWS), .FILE("prelus.hex"))
      prelu (
      .clk(clk), .read(prelu_read), .address(prelu_address), .row(prelu_row),
      .write(1'b0), .write_address(24'b0), .write_row({(LANES*PRELU){1'b0}}));
  memory #(.WIDTH(LANES * (STREAM + 1)), .DEPTH(CONSTANT_ROWS),
           .FILE("signs.hex")) sign (
      .clk(clk), .read(sign_read), .address(sign_address), .row(sign_row),
      .write(1'b0), .write_address(24'b0),
      .write_row({(LANES*(STREAM+1)){1'b0}}));

  // Classifier.
  wire class_read, bias_read;
  wire [23:0] class_address, bias_address;
  wire [LANES-1:0] class_row;
  wire [23:0] bias_row;
  memory #(.WIDTH(LANES), .DEPTH(CLASS_ROWS), .FILE("classes.hex")) classes (
      .clk(clk), .read(class_read), .address(class_address), .row(class_row),
      .write(1'b0), .write_address(24'b0), .write_row({LANES{1'b0}}));
  memory #(.WIDTH(24), .DEPTH(1 << $clog2(CLASSES)), .FILE("biases.hex"))
      class_bias (
      .clk(clk), .read(bias_read), .address(bias_address), .row(bias_row),
      .write(1'b0), .write_address(24'b0), .write_row(24'b0));
  classifier #(.LANES(LANES), .STREAM(STREAM), .POOL(POOL),
               .CHUNKS(POOL_CHUNKS), .CLASSES(CLASSES)) classifier (
      .clk(clk), .reset(reset), .add(post_valid && is_last),
      .first_position(first_position), .chunk(chunk), .values(probe_value),
      .start(start_classifier), .weight_read(class_read),
      .weight_address(class_address), .weight_row(class_row),
      .bias_read(bias_read), .bias_address(bias_address), .bias_row(bias_row),
      .valid(logit_valid), .logit(logit), .decision(decision), .done(done));

  assign used = {
    enable, fetch, class_read, bias_read, sign_read, prelu_read, norm_read,
    stream_write, residual_read, bits_write, bits_read, input_read, window_read
  };
  assign probe_y = y;
  assign probe_valid[1] = valid_then[1];
  assign probe_valid[2] = valid_then[4];
  assign probe_valid[3] = valid_then[4];
  assign probe_valid[4] = valid_then[5];
  assign probe_valid[5] = valid_then[6];
  assign probe_valid[6] = valid_then[6];
endmodule
