"""The stored form of messages and results."""
