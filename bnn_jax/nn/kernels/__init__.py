"""Engines that run the registers; all give the same integers.

`lax_engine` runs on every backend and is the reference; `compiled` is a C
library for CPUs that installation builds where it finds a compiler;
`pallas_gpu` is a kernel for GPUs.
"""
