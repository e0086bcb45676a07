"""Leases, and the primitives on them."""
