"""Putting: what waits, what is in line."""
