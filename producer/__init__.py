"""The service that puts messages into the queue."""
