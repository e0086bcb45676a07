"""Servers that lose what was not synced, whose disk is full, or whose clock steps."""
