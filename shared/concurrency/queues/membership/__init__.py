"""A process's session at one queue."""
