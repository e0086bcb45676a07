"""The producer service and the clock."""
