"""Submitted messages and their futures."""
