"""What `@handles` declares about a handler."""
