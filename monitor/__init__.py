"""Sees the whole cluster without taking part in it: what is at the server, as one object."""
