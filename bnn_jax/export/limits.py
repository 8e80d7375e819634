"""What no export exceeds, as docs/export.md states it.

A reader of a damaged or foreign export needs no more memory than these allow.
"""

# Magnitude of a number of model.json.
INTEGER = 2**24
# Bytes of model.json, and of the packed weights.
DOCUMENT = 2**24
DATA = 2**28
# Values of one clip's array, and of one with its padding.
VALUES = 2**24
# Positions that padding, crop and silence add or drop at one edge.
EDGE = 2**12
# Operands of one output, one more than there are.
OPERANDS = 2**24
# Positions of a pool's window, one more than there are.
WINDOW = 2**15
# What the classifier's sums stay below, before weights and bias.
SUM = 2**30
# Fewest and most bits of a stream, of a register, and of a tensor's element.
STREAM = (2, 16)
REGISTER = (2, 24)
ELEMENT = (1, 32)
