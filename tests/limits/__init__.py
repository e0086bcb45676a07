"""Limits of a queue: gates, places, rates (rules 24 to 28)."""
