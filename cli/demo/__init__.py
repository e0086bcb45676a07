"""`./run demo`."""
