"""A queue of five: the producer waits while it is full, the consumers while it is empty."""
