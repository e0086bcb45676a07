"""What both sides know: settings, messages, logs, the embedded server."""
