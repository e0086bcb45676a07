"""The worker: takes deliveries, runs their handlers, settles them."""
