"""Binarized networks trained through the overflow of a narrow accumulator."""

__version__ = '0.1.0'
