"""Queue, Delivery and what they stand on: encoding and membership below, a room for each way of a message above."""
