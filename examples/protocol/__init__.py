"""The protocol without this project: a client on a socket, as it would be in another language."""
