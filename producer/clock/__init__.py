"""The clock: runs the schedule."""
