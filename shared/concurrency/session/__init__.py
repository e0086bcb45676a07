"""One process and its server: identity, connection, heartbeat, scripts. Knows neither queues nor locks."""
