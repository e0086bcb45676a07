"""Three queues in a row, several processes: what a message brings about happens exactly once, whatever is killed."""
