"""The consumer service, its handlers and its executors."""
