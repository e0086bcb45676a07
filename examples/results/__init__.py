"""A result that comes later: by callback, as a future, by an event."""
