"""Messages that are deferred to a time, as jobs of arq."""
