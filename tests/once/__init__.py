"""Messages of which one at most waits under a name (rule 29)."""
