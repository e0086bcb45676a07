"""Fencing tokens: a store that refuses a holder that comes too late."""
