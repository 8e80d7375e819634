// Rows of WIDTH bits: one is read and one written each cycle. A row is on
// `row` in the cycle after `read`. FILE has the first rows in hex, one a line.
module memory #(
    parameter WIDTH = 8,
    parameter DEPTH = 2,
    parameter FILE = ""
) (
    input clk,
    input read,
    input [23:0] address,
    output reg [WIDTH-1:0] row,
    input write,
    input [23:0] write_address,
    input [WIDTH-1:0] write_row
);
  reg [WIDTH-1:0] rows[0:DEPTH-1];

  generate
    if (FILE != "") begin : loaded
      initial $readmemh(FILE, rows);
    end
  endgenerate

  always @(posedge clk) begin
    if (read) row <= rows[address[$clog2(DEPTH)-1:0]];
    if (write) rows[write_address[$clog2(DEPTH)-1:0]] <= write_row;
  end
endmodule
