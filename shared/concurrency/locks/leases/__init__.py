"""The engine of locks: holds with a deadline."""
