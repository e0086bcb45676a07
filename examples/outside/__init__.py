"""Effects outside the server: what does not travel with the acknowledgement is made repeatable by the delivery's id."""
