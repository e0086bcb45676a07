"""Three queues in a row, several processes: the effects of a message happen exactly once, whatever is killed."""
