"""A message in a consumer's hands: the delivery a user sees, how it is opened, and how it is settled."""
