"""Where the server is: asked before every connect, by everything that connects."""
