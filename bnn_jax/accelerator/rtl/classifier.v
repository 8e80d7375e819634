// Sums the last stream over all positions; then, LANES channels a cycle, adds
// and subtracts the sums for each class. Ties of the argmax: lowest index.
module classifier #(
    parameter LANES = 16,
    parameter STREAM = 8,
    parameter POOL = 16,
    parameter CHUNKS = 8,
    parameter CLASSES = 12
) (
    input clk,
    input reset,
    input add,
    input first_position,
    input [23:0] chunk,
    input [LANES*STREAM-1:0] values,
    input start,
    output weight_read,
    output [23:0] weight_address,
    input [LANES-1:0] weight_row,
    output bias_read,
    output [23:0] bias_address,
    input signed [23:0] bias_row,
    output reg valid,
    output reg signed [31:0] logit,
    output reg [23:0] decision,
    output reg done
);
  reg [LANES*POOL-1:0] pool[0:CHUNKS-1];
  localparam ROW = CHUNKS > 1 ? $clog2(CHUNKS) : 1;
  wire [LANES*POOL-1:0] old = pool[chunk[ROW-1:0]];
  wire [LANES*POOL-1:0] pooled;
  genvar l;
  generate
    for (l = 0; l < LANES; l = l + 1) begin : lanes
      wire signed [STREAM-1:0] value = values[l*STREAM+:STREAM];
      wire signed [POOL-1:0] earlier =
          first_position ? {POOL{1'b0}} : old[l*POOL+:POOL];
      wire signed [POOL-1:0] total = earlier + value;
      assign pooled[l*POOL+:POOL] = total;
    end
  endgenerate
  always @(posedge clk) if (add) pool[chunk[ROW-1:0]] <= pooled;

  // Cycle 0 reads a row of weights, 1 sums its lanes, 2 adds them to the class.
  reg running;
  reg [23:0] row, chunk_now, class_now;
  wire chunk_end = chunk_now == CHUNKS - 1;
  always @(posedge clk)
    if (reset) running <= 0;
    else if (start) begin
      running <= 1;
      row <= 0;
      chunk_now <= 0;
      class_now <= 0;
    end else if (running) begin
      row <= row + 1;
      chunk_now <= chunk_end ? 0 : chunk_now + 1;
      if (chunk_end) class_now <= class_now + 1;
      if (chunk_end && class_now == CLASSES - 1) running <= 0;
    end
  assign weight_read = running;
  assign weight_address = row;

  reg [2:1] valids, firsts, lasts;
  reg [23:0] chunk_then, class_1, class_2, class_3;
  always @(posedge clk) begin
    valids <= reset ? 2'b0 : {valids[1], running};
    firsts <= {firsts[1], chunk_now == 0};
    lasts <= {lasts[1], chunk_end};
    chunk_then <= chunk_now;
    class_1 <= class_now;
    class_2 <= class_1;
    class_3 <= class_2;
  end
  assign bias_read = valids[1] && firsts[1];
  assign bias_address = class_1;

  wire [LANES*POOL-1:0] sums = pool[chunk_then[ROW-1:0]];
  reg signed [31:0] partial, next_partial, term;
  integer i;
  always @(*) begin
    next_partial = 0;
    for (i = 0; i < LANES; i = i + 1) begin
      term = {{(32-POOL){sums[i*POOL+POOL-1]}}, sums[i*POOL+:POOL]};
      next_partial = weight_row[i] ? next_partial + term : next_partial - term;
    end
  end
  reg signed [31:0] total;
  wire signed [31:0] next_total = (firsts[2] ? bias_row : total) + partial;
  always @(posedge clk) begin
    if (valids[1]) partial <= next_partial;
    if (valids[2]) total <= next_total;
  end

  reg signed [31:0] largest;
  always @(posedge clk) begin
    valid <= valids[2] && lasts[2];
    logit <= next_total;
    done <= valid && class_3 == CLASSES - 1;
    if (valid && (class_3 == 0 || logit > largest)) begin
      largest <= logit;
      decision <= class_3;
    end
  end
endmodule
