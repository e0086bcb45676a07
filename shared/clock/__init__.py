"""Messages deferred to a time, as jobs of arq."""
