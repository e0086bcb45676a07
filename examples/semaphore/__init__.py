"""Semaphore(3): ten users, three at once."""
