"""A real server as a child process, and processes that end together."""
