"""What producers and consumers both know: messages, settings, logs, the local server."""
