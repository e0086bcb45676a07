"""`./run pipeline doctor`: what is wrong with a server for us, and what to do about it."""
