"""Tasks, and gather: ten pieces of work at once, their results together."""
