"""Two tasks in a fixed order, whichever starts first."""
