"""Takes, has handled, settles."""
