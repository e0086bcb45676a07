"""Writes and puts that travel with an acknowledgement."""
