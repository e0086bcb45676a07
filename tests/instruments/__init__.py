"""Instruments: what the tests break things with, and look at them with."""
