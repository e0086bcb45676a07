"""The service that takes messages out of the queue and handles them."""
