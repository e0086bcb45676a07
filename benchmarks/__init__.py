"""Measures the project beside others: every figure is a ratio within one interleaved run."""
