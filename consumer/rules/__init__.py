"""What `@handles` says of a handler."""
