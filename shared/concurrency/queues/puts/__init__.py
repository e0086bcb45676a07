"""Putting: what is unsent, and what waits for room at the server."""
