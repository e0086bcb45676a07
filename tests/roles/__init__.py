"""What each role may do at the server, and what not."""
