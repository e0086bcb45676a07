"""Cancellation, lost connections, kills, restarts, bad input."""
