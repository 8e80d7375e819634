// Number of ones, by a tree of adders with a register after each SPAN levels.
// The count of what is on `bits` comes LATENCY = ceil(LEVELS / SPAN) cycles
// later.
module popcount #(
    parameter WIDTH = 64,
    parameter SPAN = 2
) (
    input clk,
    input [WIDTH-1:0] bits,
    output [$clog2(WIDTH+1)-1:0] count
);
  localparam LEVELS = $clog2(WIDTH);
  localparam SIZE = 1 << LEVELS;

  genvar k, i;
  generate
    // Level k has SIZE / 2^k sums of k + 1 bits, side by side.
    for (k = 0; k <= LEVELS; k = k + 1) begin : level
      wire [(SIZE>>k)*(k+1)-1:0] sums;
      if (k == 0) begin : leaves
        assign sums = bits;
      end else begin : pairs
        wire [(SIZE>>k)*(k+1)-1:0] next;
        for (i = 0; i < (SIZE >> k); i = i + 1) begin : pair
          assign next[i*(k+1)+:k+1] = {1'b0, level[k-1].sums[2*i*k+:k]}
              + {1'b0, level[k-1].sums[(2*i+1)*k+:k]};
        end
        if (k % SPAN == 0 || k == LEVELS) begin : registered
          reg [(SIZE>>k)*(k+1)-1:0] held;
          always @(posedge clk) held <= next;
          assign sums = held;
        end else begin : passed
          assign sums = next;
        end
      end
    end
  endgenerate

  // The upper bits of the padded tree's root are 0 for any other WIDTH.
  assign count = level[LEVELS].sums[$clog2(WIDTH+1)-1:0];
endmodule
