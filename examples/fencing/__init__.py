"""Fencing tokens: a store that refuses a holder who comes too late."""
