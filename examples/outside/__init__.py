"""Effects outside the server: the delivery's id makes repeatable what does not travel with the acknowledgement."""
