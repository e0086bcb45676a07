"""Writes that travel with an acknowledgement."""
